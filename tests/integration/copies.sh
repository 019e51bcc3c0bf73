# Programs that copy onto an export: afterwards it is what was copied, or the
# program has failed. They leave out what is zeros, and cut the file at its end.
. "$abs_top_srcdir/tests/integration/lib.sh"

size=$((2 << 20))
file=$dir/disk.raw
source=$dir/source/disk.raw # tar needs the same name

# A hole, data, a hole, data; and a hole at the end.
make_source() { # SIZE
	mkdir -p "$dir/source"
	rm -f "$source"
	truncate -s "$1" "$source"
	dd if=/dev/urandom of="$source" bs=1k seek=500 count=300 conv=notrunc status=none
	dd if=/dev/urandom of="$source" bs=1k seek=900 count=77 conv=notrunc status=none
}

fill() {
	succeed dd if="$dir/noise" of="$file" bs=1M conv=notrunc status=none
	succeed cmp "$dir/noise" "$file"
}

# The program is run on a disk that is full of something else. What is behind
# the copy is zeros then.
copied() { # COMMAND...
	local status
	fill
	"$@" >"$dir/said" 2>&1
	status=$?
	((status == 0)) || fail "'$*' failed with $status: $(<"$dir/said")"
	cp "$source" "$dir/want"
	truncate -s "$want_size" "$dir/want"
	cmp "$dir/want" "$file" || fail "'$*' made something else"
	dd if="$file" bs=1M iflag=direct status=none | cmp "$dir/want" - ||
		fail "'$*' made something else, seen past the page cache"
}

# It tells that it cannot, and takes nothing but what it has written. (dd then
# goes on, and ends with 0.)
refused() { # BYTES COMMAND...
	local bytes=$1
	shift
	fill
	"$@" >"$dir/said" 2>&1
	grep -q 'not permitted' "$dir/said" || fail "'$*' said '$(<"$dir/said")'"
	succeed cmp -i "$bytes" "$dir/noise" "$file"
	expect "$want_size" stat -c %s "$file"
}

from_tar() { tar -C "$dir" --overwrite -xf "$dir/source.tar"; }
make_tar() { tar -C "$dir/source" -Scf "$dir/source.tar" disk.raw; }

all_tools() {
	copied cp --sparse=always "$source" "$file"
	copied dd if="$source" of="$file" bs=4k conv=sparse
	copied qemu-img convert -n -f raw -O raw "$source" "$file"
	! have_tool rsync || copied rsync -I --inplace -S "$source" "$file"
	! have_tool ddrescue || copied ddrescue -q "$source" "$file"
	! have_tool ddrescue || copied ddrescue -q -S -t "$source" "$file"
}

copies() { # all|some MOUNT-ARGUMENTS...
	local which=$1
	shift
	say "$*"
	mount_rawfuse "$@" "$file"
	want_size=$size
	make_source "$size"
	[[ $which != all ]] || all_tools
	copied cp "$source" "$file"
	# What is smaller leaves zeros behind it.
	make_source $((size - 1000000))
	make_tar
	copied cp "$source" "$file"
	copied from_tar
	! have_tool rsync || copied rsync -I --inplace -S "$source" "$file"
	# Nobody has emptied it: what would be cut off stays.
	refused 4096 dd if=/dev/zero of="$file" bs=512 seek=3 count=1
	! have_tool rsync ||
		refused $((size - 1000000)) rsync -I --inplace "$source" "$file"
	unmount_rawfuse "$file"
}

# A file that can grow is cut as files are.
growing() { # MOUNT-ARGUMENTS...
	mount_rawfuse --growable "$@" "$file"
	make_source 1500000
	want_size=1500000
	copied cp "$source" "$file"
	make_tar
	copied from_tar
	unmount_rawfuse "$file"
}

# Written by a process that keeps the file open, and in the writeback cache; or
# in a mapping. It runs until release.
hold() { # map|write
	rm -f "$dir/gate"
	mkfifo "$dir/gate"
	if [[ $1 == map ]]; then
		fileop "$file" map_hold 0 4096 104 <"$dir/gate" >"$dir/held" {machine_lock}<&- &
	else
		(exec 1<>"$file" && printf hhhhh && say mapped >"$dir/held" &&
			read -r _ <"$dir/gate") {machine_lock}<&- &
	fi
	holder=$!
	exec {gate}>"$dir/gate"
	wait_until "it has written" grep -q mapped "$dir/held"
}
release() {
	exec {gate}>&-
	wait "$holder"
	rm "$dir/held"
}

# What is behind the end of a cut may still be in the kernel. What others have
# there stays; the caller's own is cut off.
unseen() { # MOUNT-ARGUMENTS...
	local how
	say "unseen: $*"
	mount_rawfuse "$@" "$file"
	for how in map write; do
		: >"$file"
		hold $how
		expect EPERM fileop "$file" truncate 3
		expect EPERM fileop "$file" cut 3
		release
		expect EPERM fileop "$file" truncate 3
		expect yes fileop "$file" is 0 5 104
	done
	: >"$file"
	expect 0 fileop "$file" map_cut 8192 8192 8193
	if [[ $* == *writeback* ]]; then
		expect 0 fileop "$file" pwrite_cut 8192 8192 8193
	fi
	expect yes fileop -d "$file" is 8192 1 120
	expect yes fileop "$file" is 8193 8191 0
	expect "$size" stat -c %s "$file"
	if [[ $* != *writeback* ]]; then
		expect EPERM fileop "$file" pwrite_cut 8192 8192 8193
		expect yes fileop "$file" is 8192 8192 120
	fi
	unmount_rawfuse "$file"
}

raw() {
	cp "$dir/noise" "$dir/disk.img"
	copies all "$dir/disk.img"
	copies some --writeback-cache "$dir/disk.img"
	growing "$dir/disk.img"
	cp "$dir/noise" "$dir/disk.img"
	unseen "$dir/disk.img"
	unseen --writeback-cache "$dir/disk.img"
}

qcow2() {
	qemu-img create -q -f qcow2 "$dir/disk.qcow2" "$size"
	copies some "$dir/disk.qcow2"
	succeed qemu-img check -q "$dir/disk.qcow2"
	qemu-img create -q -f qcow2 -F raw -b "$dir/noise" "$dir/disk.qcow2"
	copies some --format=qcow2 "$dir/disk.qcow2"
	succeed qemu-img check -q "$dir/disk.qcow2"
}

device() {
	local loop
	cp "$dir/noise" "$dir/disk.img"
	loop=$(losetup -f --show "$dir/disk.img" 2>"$dir/err") || {
		skip_part "no loop devices: $(<"$dir/err")"
		return
	}
	copies some "$loop"
	losetup -d "$loop"
}

# The way back: where the data lies in a file below, or in the page cache only,
# the file must not look like one hole.
archived() { # MOUNT-ARGUMENTS...
	mount_rawfuse "$@" "$file"
	(($(stat -c %b "$file") > 0)) || fail "$*: it has no blocks"
	(($(stat -c %b "$file") * 512 <= size + 511)) || fail "$*: it has more blocks than bytes"
	succeed tar -C "$dir" -Scf "$dir/archive.tar" disk.raw
	unmount_rawfuse "$file"
	tar -xOf "$dir/archive.tar" | cmp "$dir/noise" - || fail "$*: the archive is something else"
}

sparse() {
	local held
	rm -f "$dir/data" "$dir/disk.qcow2"
	qemu-img create -q -f qcow2 -o data_file="$dir/data" -F raw \
		-b "$dir/noise" "$dir/disk.qcow2"
	truncate -s 0 "$dir/data"
	truncate -s "$size" "$dir/data"
	archived --format=qcow2 "$dir/disk.qcow2"
	rm -f "$dir/data" "$dir/disk.qcow2"
	qemu-img create -q -f qcow2 -F raw -b "$dir/noise" "$dir/disk.qcow2"
	archived --format=qcow2 "$dir/disk.qcow2"
	# A hole, but for what may be kept in the page cache.
	rm -f "$dir/disk.img"
	truncate -s "$size" "$dir/disk.img"
	mount_rawfuse --writeback-cache "$dir/disk.img" "$file"
	expect 0 stat -c %b "$file"
	exec {held}<>"$file"
	expect 1 stat -c %b "$file"
	exec {held}>&-
	unmount_rawfuse "$file"
}

# A large disk is emptied at once where a discard is quick.
large() {
	truncate -s 8T "$dir/disk.img" 2>"$dir/err" || {
		skip_part "no file of 8T: $(<"$dir/err")"
		return
	}
	mount_rawfuse "$dir/disk.img" "$file"
	expect 4096 fileop "$file" pwrite $((5 << 40)) 4096 1
	: >"$file"
	expect yes fileop "$file" is $((5 << 40)) 4096 0
	report
	grep -q ' discard=[1-9]' "$dir/report" || fail "no discards: $(<"$dir/report")"
	grep -q ' write=[2-9]' "$dir/report" && fail "it was written: $(<"$dir/report")"
	expect $((8 << 40)) stat -c %s "$file"
	unmount_rawfuse "$file"
	rm "$dir/disk.img"
}

require_tool qemu-img
have_tool rsync || skip_part "rsync is not installed"
have_tool ddrescue || skip_part "ddrescue is not installed"
head -c "$size" /dev/urandom >"$dir/noise"
each_transport raw
TRANSPORTS=${TRANSPORTS:-auto} each_transport qcow2
TRANSPORTS=${TRANSPORTS:-auto} each_transport device
TRANSPORTS=${TRANSPORTS:-auto} each_transport sparse
each_transport large
finish
