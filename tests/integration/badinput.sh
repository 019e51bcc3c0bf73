# Bad input: one line that names the object, status 1 or 2, nothing left.
. "$abs_top_srcdir/tests/integration/lib.sh"

image=$dir/disk.img
file=$dir/disk.raw
before=

listing() { find "$dir" -mindepth 1 ! -name err ! -name out -printf '%P %y %s %m\n' | sort; }

# refuses STATUS PATTERN ARGUMENT...: rawfuse ARGUMENT... ends with STATUS and
# one line on stderr that matches PATTERN, and leaves all as it was.
refuses() {
	local status=$1 pattern=$2 got lines
	shift 2
	before=$(listing)
	"${AS[@]}" timeout 20 "$RAWFUSE" "$@" >"$dir/out" 2>"$dir/err" </dev/null
	got=$?
	lines=$(wc -l <"$dir/err")
	((got == status)) || fail "$*: ended with $got, not $status: $(<"$dir/err")"
	((lines == 1)) || fail "$*: $lines lines: $(<"$dir/err")"
	[[ $(<"$dir/err") =~ ^rawfuse:\ .*$pattern ]] ||
		fail "$*: said '$(<"$dir/err")', not '$pattern'"
	[[ ! -s $dir/out ]] || fail "$*: wrote to stdout: $(<"$dir/out")"
	wait_until "$*: no process is left" no_processes
	no_mounts || fail "$*: left a mount"
	[[ $(listing) == "$before" ]] ||
		fail "$*: left '$(listing)', was '$before'"
}
AS=(env)

images() {
	refuses 1 "$dir/none: .*No such file" "$dir/none" "$file"
	mkdir "$dir/d"
	refuses 1 "$dir/d: .*directory" "$dir/d" "$file"
	mkfifo "$dir/fifo"
	refuses 1 "$dir/fifo: " "$dir/fifo" "$file"
	refuses 1 "/dev/null: " /dev/null "$file"
	: >"$dir/empty"
	refuses 1 "$dir/empty: .*empty" "$dir/empty" "$file"
	refuses 1 "$dir/empty: .*empty" -r "$dir/empty" "$file"
	refuses 1 "disk.img/x: .*Not a directory" "$image/x" "$file"
	ln -s loop1 "$dir/loop1"
	refuses 1 "$dir/loop1: .*[Ss]ymbolic" "$dir/loop1" "$file"
	refuses 1 ": .*No such file" "" "$file"
	rm -r "$dir/d" "$dir/fifo" "$dir/empty" "$dir/loop1"
}

null_images() {
	local arg
	for arg in null:size= null:size=x null:size=-1 null:size=1Q \
		null:size=99999999999999999999 null:size=16E null:2G \
		null:size=1G,x=1 null:size=1.5G; do
		refuses 1 "${arg}: " "$arg" "$file"
	done
	refuses 1 "disk.img: .*null" --format=null "$image" "$file"
	refuses 1 "null:size=0: " null:size=0 "$file"
}

permission() {
	chmod 600 "$image"
	mkdir "$dir/theirs"
	chown 65534:65534 "$dir/theirs"
	AS=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	refuses 1 "$image: .*Permission denied" "$image" "$dir/theirs/f"
	chmod 644 "$image"
	refuses 1 "$image: .*Permission denied.*--read-only|$image: .*read-only.*Permission denied" "$image" "$dir/theirs/f"
	# What fusermount3 says is in our line.
	: >"$dir/root's"
	if have_tool fusermount3; then
		refuses 1 "root's: mount: by fusermount3: [a-z]" -r "$image" "$dir/root's"
	else
		skip_part "what fusermount3 says: it is not installed"
	fi
	rm "$dir/root's"
	chmod 700 "$dir"
	refuses 1 "$image: .*Permission denied" -r "$image" "$dir/theirs/f"
	AS=(env)
	chmod 755 "$dir"
	rmdir "$dir/theirs"
}

mountpoints() {
	mkdir "$dir/d"
	refuses 1 "$dir/d: .*directory" "$image" "$dir/d"
	refuses 1 "$dir/d/?: .*directory" "$image" "$dir/d/"
	refuses 1 "none/a/f: mount: $dir/none: No such file" "$image" "$dir/none/a/f"
	refuses 1 "disk.img/f'?: .*Not a directory" "$image" "$image/f"
	mkfifo "$dir/fifo"
	refuses 1 "$dir/fifo: " "$image" "$dir/fifo"
	ln -s nowhere "$dir/dangling"
	refuses 1 "$dir/dangling: " "$image" "$dir/dangling"
	refuses 1 "mount: " "$image" ""
	rm -r "$dir/d" "$dir/fifo" "$dir/dangling"
	refuses 1 "/proc/nothing'?: " "$image" /proc/nothing
}

# What is mounted stays as it is.
mounted_already() {
	cp "$image" "$dir/other.img"
	mount_rawfuse "$image" "$file"
	local said
	"$RAWFUSE" "$dir/other.img" "$file" >"$dir/out" 2>"$dir/err" && fail "mounted twice"
	said=$(<"$dir/err")
	[[ $said =~ disk.raw:.*already\ \(process\ $daemon\)\;\ umount\ .*--replace=live && $said != *$'\n'* ]] ||
		fail "said '$said'"
	expect "$file" our_mounts
	succeed cmp "$image" "$file"
	# A mount whose daemon was killed, too.
	kill -9 "$daemon"
	wait_until "it is dead" is_gone "$daemon"
	"$RAWFUSE" "$dir/other.img" "$file" 2>"$dir/err" && fail "mounted on a dead mount"
	said=$(<"$dir/err")
	[[ $said =~ disk.raw:.*a\ killed\ rawfuse\ has\ left.*--replace$ && $said != *$'\n'* ]] ||
		fail "said '$said'"
	succeed umount "$file"
	rm -f "$file" "$dir/other.img" "$dir/pid" "$dir/log"
	log=
}

numbers() {
	local n
	for n in 0 100000 -1 x "" 1k 64x 1.5 99999999999999999999 " 1" 0x10 4097; do
		refuses 2 "queue-depth: '$n'" --queue-depth="$n" "$image" "$file"
		refuses 2 "queue-depth: '$n'" -o "queue_depth=$n" "$image" "$file"
	done
	for n in 0 1 4095 4097 17M 1Q -1 "" x 99999999999999999999 16E 1M1; do
		refuses 2 "max-write: '$n'" --max-write="$n" "$image" "$file"
	done
	for n in -1 x "" 86401 5s; do
		refuses 2 "grace: '$n'" --grace="$n" "$image" "$file"
	done
}

words() {
	refuses 2 "format: 'qcow9'" --format=qcow9 "$image" "$file"
	refuses 2 "io-uring: 'maybe'" --io-uring=maybe "$image" "$file"
	refuses 2 "io-uring: ''" --io-uring= "$image" "$file"
	refuses 2 "io-uring: 'o'" --io-uring=o "$image" "$file"
	refuses 2 "cache: 'none'" --cache=none "$image" "$file"
	refuses 2 "allow-other: 'yes'" --allow-other=yes "$image" "$file"
	refuses 2 "trace: 'foo'" --trace=foo "$image" "$file"
	refuses 2 "trace: ''" --trace= "$image" "$file"
	refuses 2 "fsname: .*empty" --fsname= "$image" "$file"
	refuses 2 "pidfile: .*empty" -o pidfile= "$image" "$file"
	refuses 2 "trace: 'foo'" -d fuse,foo "$image" "$file"
	refuses 2 "'bogus'" -o bogus "$image" "$file"
	refuses 2 "'bogus'" -o ro,bogus=1,io_uring=on "$image" "$file"
	refuses 2 "'help'" -o help "$image" "$file"
	refuses 2 "'o'" -o o=ro "$image" "$file"
	refuses 2 "'queue_depth'" -o queue_depth "$image" "$file"
	refuses 2 "'growable'" -o growable=1 "$image" "$file"
	refuses 2 "--bogus" --bogus "$image" "$file"
	refuses 2 "-Z" -Z "$image" "$file"
	refuses 2 "--growable=1" --growable=1 "$image" "$file"
	refuses 2 "--queue-depth" "$image" "$file" --queue-depth
	refuses 2 "-o" "$image" "$file" -o
}

disagreement() {
	refuses 2 "queue-depth: .*'3'.*'4'" --queue-depth=3 --queue-depth=4 "$image" "$file"
	refuses 2 "io-uring: .*'on'.*'off'" --io-uring=on -o io_uring=off "$image" "$file"
	refuses 2 "read-only: " -r -o rw "$image" "$file"
	refuses 2 "read-only: " -o ro,rw "$image" "$file"
	refuses 2 "allow-other: " --allow-other=off -o allow_other "$image" "$file"
	refuses 2 "cache: " --cache=host -o cache=direct "$image" "$file"
	refuses 2 "pidfile: " --pidfile=a -o pidfile=b "$image" "$file"
	# The same twice is no disagreement.
	mount_rawfuse -r -o ro --queue-depth=4 -o queue_depth=4 "$image" "$file"
	unmount_rawfuse "$file"
	rm -f "$dir/log"
	log=
}

arguments() {
	refuses 2 "IMAGE and MOUNTPOINT are missing, as in: rawfuse .* .*"
	refuses 2 "disk.img: MOUNTPOINT is missing, .* as in: rawfuse .* .*" "$image"
	refuses 2 "surplus: .*too many" "$image" "$file" surplus
	refuses 2 "surplus" "$image" "$file" surplus more
}

# Each insists on what the other rules out.
together() {
	refuses 2 "zero-copy=on.*io-uring=off" --zero-copy=on --io-uring=off "$image" "$file"
	refuses 2 "zero-copy=on.*buffer-pool=off" --zero-copy=on --buffer-pool=off "$image" "$file"
	refuses 2 "cpu=follow.*io-uring=off" -o cpu=follow,io_uring=off "$image" "$file"
	refuses 2 "passthrough=on.*writeback-cache" --passthrough=on --growable \
		--writeback-cache "$image" "$file"
	# What is no qcow2 image would be exported as it is.
	refuses 1 "disk.img: --snapshot: .*raw" --snapshot=monday "$image" "$file"
	refuses 1 "null:: --snapshot: .*null" --snapshot=monday null: "$file"
}

# What is there and no pidfile, an image above all, is left alone.
pidfiles() {
	cp "$image" "$dir/copy"
	refuses 1 "disk.img: pidfile: something else" --pidfile="$image" "$image" "$file"
	succeed cmp "$image" "$dir/copy"
	say "12 apples" >"$dir/victim"
	refuses 1 "victim: pidfile: something else" --pidfile="$dir/victim" "$image" "$file"
	expect "12 apples" cat "$dir/victim"
	refuses 1 "$dir: pidfile: something else" --pidfile="$dir" "$image" "$file"
	# One that is empty, as mktemp makes it, is taken.
	: >"$dir/victim"
	"$RAWFUSE" --pidfile="$dir/victim" "$image" "$file" {machine_lock}<&- ||
		fail "an empty pidfile was refused"
	[[ -s $dir/victim ]] || fail "the pidfile is empty"
	succeed umount "$file"
	wait_until "no process is left" no_processes
	[[ ! -e $dir/victim ]] || fail "the pidfile is left"
	# The mountpoint, which only this process could open.
	refuses 1 "disk.raw: pidfile: .*busy" --pidfile="$file" "$image" "$file"
	: >"$file"
	refuses 1 "disk.raw: pidfile: .*busy" --pidfile="$file" "$image" "$file"
	rm "$file"
	# Another one's, which it may have left.
	say 1 >"$dir/victim"
	mount_rawfuse "$image" "$file"
	"$RAWFUSE" --pidfile="$dir/victim" null: "$file" 2>"$dir/err" &&
		fail "mounted twice"
	unmount_rawfuse "$file"
	expect 1 cat "$dir/victim"
	rm -f "$dir/log" "$dir/victim" "$dir/copy"
	log=
}

logs() {
	if [[ -e /run/systemd/journal/socket ]]; then
		skip_part "no journal: there is one"
	else
		refuses 1 "--log=journal: there is no journal of systemd" --log=journal "$image" "$file"
	fi
	refuses 1 "--log=$dir/none/log: No such file" --log="$dir/none/log" "$image" "$file"
}

# No room for it: nothing is left that looks like one.
pidfile_on_full_disk() {
	mkdir "$dir/full"
	succeed mount -t tmpfs -o size=4k none "$dir/full"
	head -c 4096 /dev/zero >"$dir/full/all"
	"$RAWFUSE" --pidfile="$dir/full/pid" "$image" "$file" 2>"$dir/err" &&
		fail "it started without its pidfile"
	grep -q 'full/pid: pidfile: No space' "$dir/err" || fail "said: $(<"$dir/err")"
	[[ $(ls "$dir/full") == all ]] || fail "left: $(ls "$dir/full")"
	wait_until "no process is left" no_processes
	succeed umount "$dir/full"
	rmdir "$dir/full"
}

# Less than what requests need; sanitizers need more for themselves.
little_memory() {
	AS=(bash -c 'ulimit -v 60000; exec "$@"' -)
	if "${AS[@]}" "$RAWFUSE" --version >/dev/null 2>&1; then
		refuses 1 "/dev/fuse: no memory.*ulimit -v" --io-uring=off \
			"$image" "$file"
	else
		skip_part "little memory: not enough to start at all"
	fi
	AS=(env)
}

# After the mount is there already.
late_failures() {
	refuses 1 "$dir/none/pid: " --pidfile="$dir/none/pid" "$image" "$file"
	: >"$file"
	refuses 1 "$dir/none/pid: " -f --pidfile="$dir/none/pid" "$image" "$file"
	rm "$file"
}

helper() {
	mkdir "$dir/sbin"
	ln -s "$RAWFUSE" "$dir/sbin/mount.fuse.rawfuse"
	local real=$RAWFUSE
	RAWFUSE=$dir/sbin/mount.fuse.rawfuse
	# Its exit statuses are those of mount(8).
	refuses 1 "'bogus'" "$image" "$file" -o rw,bogus
	refuses 1 "-Z" "$image" "$file" -Z
	refuses 1 "MOUNTPOINT is missing" "$image"
	refuses 32 "none: " "$dir/none" "$file" -o ro
	RAWFUSE=$real
	rm -r "$dir/sbin"
}

require_tool setpriv mkfifo find
make_image disk.img 1M
images
null_images
permission
mountpoints
numbers
words
disagreement
arguments
each_transport mounted_already
together
pidfiles
logs
pidfile_on_full_disk
little_memory
late_failures
helper
finish
