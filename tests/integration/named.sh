# Files that an image names: refused with --untrusted and --backing=off, kept
# beneath a directory by --allow-files, and told of in the log.
. "$abs_top_srcdir/tests/integration/lib.sh"

file=$dir/disk.raw
in=$dir/in

# refused PATTERN OPTION... IMAGE: one line that matches, and no mount.
refused() {
	local pattern=$1
	shift
	timeout 20 "$RAWFUSE" --io-uring="$transport" "$@" "$file" >"$dir/out" 2>&1
	(($? == 1)) || fail "$*: not refused: $(<"$dir/out")"
	[[ $(wc -l <"$dir/out") == 1 && $(<"$dir/out") =~ $pattern ]] ||
		fail "$*: it said '$(<"$dir/out")', not '$pattern'"
	[[ ! -e $file ]] || fail "$*: the mountpoint is left"
}

# exports RAW OPTION... IMAGE: the disk is like RAW; what was said: $said.
exports() {
	local like=$1
	shift
	mount_rawfuse "$@" "$file"
	succeed cmp "$like" "$file"
	said=$(<"$log")
	unmount_rawfuse "$file"
}

# An external data file of any name: root's, say.
data_file() {
	make_image victim 1M
	cp "$dir/victim" "$dir/before"
	create -o data_file="$dir/victim",data_file_raw=on "$dir/data.qcow2" 1M
	cp "$dir/before" "$dir/victim"
	refused "data file '$dir/victim', and --backing=off refuses" \
		--format=qcow2 --backing=off "$dir/data.qcow2"
	refused "data file '$dir/victim', and --untrusted refuses.*--allow-files" \
		--format=qcow2 --untrusted "$dir/data.qcow2"
	refused "data file '$dir/victim', and --untrusted refuses" \
		--untrusted -r "$dir/data.qcow2"
	refused "data file .*$dir/victim is not beneath '$in'" \
		--format=qcow2 --allow-files="$in" "$dir/data.qcow2"
	succeed cmp "$dir/victim" "$dir/before"
	exports "$dir/victim" --format=qcow2 "$dir/data.qcow2"
	[[ $said =~ data.qcow2:\ qcow2:\ its\ data\ is\ in\ the\ file\ \'$dir/victim\' ]] ||
		fail "the data file is not told: $said"
	# Beneath the directory it is written.
	create -o data_file="$in/d",data_file_raw=on "$dir/data.qcow2" 1M
	cp "$dir/before" "$in/d"
	mount_rawfuse --format=qcow2 --untrusted --allow-files="$in" "$dir/data.qcow2" "$file"
	succeed cmp "$dir/before" "$file"
	expect 4096 fileop "$file" pwrite 8192 4096 7
	unmount_rawfuse "$file"
	expect yes fileop -r "$in/d" is 8192 4096 7
	rm "$dir"/{data.qcow2,victim} "$in/d"
}

backing() {
	make_image in/base 1M
	cp "$in/base" "$dir/base"
	create -b base -F raw "$in/middle.qcow2"
	create -b "$in/middle.qcow2" -F qcow2 "$dir/top.qcow2"
	for option in --untrusted --backing=off; do
		refused "backing file '$in/middle.qcow2', and $option refuses" \
			--format=qcow2 $option "$dir/top.qcow2"
	done
	exports "$dir/base" --format=qcow2 --allow-files="$in" "$dir/top.qcow2"
	[[ $said =~ top.qcow2:\ qcow2:\ its\ backing\ file\ is\ \'$in/middle.qcow2\'\ \(qcow2\).*middle.qcow2:\ qcow2:\ its\ backing\ file\ is\ \'$in/base\'\ \(raw\) ]] ||
		fail "the chain is not told: $said"
	exports "$dir/base" --format=qcow2 --untrusted --allow-files="$dir" "$dir/top.qcow2"
	(cd "$dir" && exec "$RAWFUSE" --io-uring="$transport" --pidfile="$dir/pid" \
		--format=qcow2 --allow-files=in top.qcow2 disk.raw) || fail "relative names"
	succeed cmp "$dir/base" "$file"
	succeed umount "$file"
	wait_until "it has ended" test ! -e "$dir/pid"
	# Names beside the image, with a way around.
	succeed qemu-img rebase -u -b "in/../in/./middle.qcow2" -F qcow2 "$dir/top.qcow2"
	exports "$dir/base" --format=qcow2 --allow-files="$in" "$dir/top.qcow2"
}

# Ways out: above, links, directories that are exchanged for links.
ways_out() {
	local name
	ln -s "$dir/base" "$in/absolute"
	ln -s ../base "$in/relative"
	ln -s .. "$in/up"
	ln -s base "$in/inside"
	for name in "$dir/base" base in/../base in/absolute in/relative in/up/base \
		"$in/up/in/up/base" /proc/self/cwd/base /dev/null; do
		succeed qemu-img rebase -u -b "$name" -F raw "$dir/top.qcow2"
		refused "top.qcow2: qcow2: its backing file .* is not beneath '$in'.*--allow-files" \
			--format=qcow2 --allow-files="$in" "$dir/top.qcow2"
	done
	succeed qemu-img rebase -u -b in/inside -F raw "$dir/top.qcow2"
	exports "$dir/base" --format=qcow2 --allow-files="$in" "$dir/top.qcow2"
	succeed qemu-img rebase -u -b in/none -F raw "$dir/top.qcow2"
	refused "backing file $in/none: No such file" --format=qcow2 --allow-files="$in" "$dir/top.qcow2"
	# One level below.
	succeed qemu-img rebase -u -b in/middle.qcow2 -F qcow2 "$dir/top.qcow2"
	succeed qemu-img rebase -u -b ../base -F raw "$in/middle.qcow2"
	refused "middle.qcow2: qcow2: its backing file $dir/base is not beneath" \
		--format=qcow2 --allow-files="$in" "$dir/top.qcow2"
	refused "allow-files: '$dir/none': No such file" --allow-files="$dir/none" "$dir/top.qcow2"
	refused "allow-files: '$dir/base': Not a directory" --allow-files="$dir/base" "$dir/top.qcow2"
	for name in ENOSYS EPERM; do
		"$helpers/deny" $name openat2 "$RAWFUSE" --allow-files="$in" "$dir/base" \
			"$file" >"$dir/out" 2>&1 && fail "it went on without openat2"
		[[ $(<"$dir/out") =~ --allow-files:\ openat2.*Linux\ 5.6.*--untrusted ]] ||
			fail "without openat2: $(<"$dir/out")"
	done
	rm "$in"/{absolute,relative,up,inside}
}

# A name is no way to write to a terminal.
names_escaped() {
	local name=$'b\e[31m\nas\r\x7f'
	cp "$dir/base" "$in/$name"
	create -b "$in/$name" -F raw "$dir/odd.qcow2"
	refused 'b\\x1b\[31m\\x0aas\\x0d\\x7f.*--untrusted' --format=qcow2 --untrusted "$dir/odd.qcow2"
	mount_rawfuse --format=qcow2 "$dir/odd.qcow2" "$file"
	grep -qF "backing file is '$in/b\\x1b[31m\\x0aas\\x0d\\x7f' (raw)" "$log" ||
		fail "it said: $(cat -v "$log")"
	unmount_rawfuse "$file"
	# The image's own, and that of the exported file.
	mv "$dir/odd.qcow2" "$dir/$name"
	refused '\\x1b\[31m\\x0aas' --format=qcow2 --untrusted "$dir/$name"
	rm "$in/$name" "$dir/$name"
}

# What is not plain.
plain() {
	rm -f "$dir/p.qcow2"
	succeed qemu-img convert -f raw -O qcow2 "$dir/base" "$dir/p.qcow2"
	exports "$dir/base" --untrusted "$dir/p.qcow2"
	exports "$dir/base" --untrusted "$dir/base"
	succeed qemu-img snapshot -c one "$dir/p.qcow2"
	refused "snapshots is 1 .*--untrusted.*--read-only" --untrusted "$dir/p.qcow2"
	exports "$dir/base" --untrusted -r "$dir/p.qcow2"
	exports "$dir/base" --untrusted --snapshot=one "$dir/p.qcow2"
	succeed qemu-img snapshot -d one "$dir/p.qcow2"
	printf '\1' | dd of="$dir/p.qcow2" bs=1 seek=79 conv=notrunc status=none # dirty
	refused "not closed cleanly.*--untrusted" --untrusted "$dir/p.qcow2"
	exports "$dir/base" --untrusted -r "$dir/p.qcow2"
	printf '\2' | dd of="$dir/p.qcow2" bs=1 seek=79 conv=notrunc status=none # corrupt
	refused "corrupt.*--untrusted" --untrusted -r "$dir/p.qcow2"
	rm "$dir/p.qcow2"
	create "$dir/p.qcow2" 64T
	mount_rawfuse --untrusted "$dir/p.qcow2" "$file"
	unmount_rawfuse "$file"
	create "$dir/p.qcow2" 65T
	refused "l1_size.*--untrusted" --untrusted -r "$dir/p.qcow2"
}

require_tool qemu-img
mkdir "$in"
each_transport data_file
transport=off
backing
ways_out
names_escaped
plain
finish
