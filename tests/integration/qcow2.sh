# qcow2 on real mounts, QEMU's tools as judges: fio --verify, a file system,
# snapshots, what probing may not do, kill -9 and SIGTERM under load. FIO_SIZE:
# as in fio.sh; QCOW2_KILLS: how often it is killed.
SCRATCH_IN=. # the build directory's file system
. "$abs_top_srcdir/tests/integration/lib.sh"

image=$dir/disk.qcow2
file=$dir/disk.raw
fio=

# same RAW: the image has the content that the exported file had.
same() {
	succeed qemu-img compare -q -f raw -F qcow2 "$1" "$image"
}

# fio_on OPTION...: on the exported file; fio wants no space in a name.
fio_on() {
	(cd "$dir" && exec fio --filename=disk.raw --direct=1 --fallocate=none \
		--thread --group_reporting "$@") \
		>"$dir/fio.out" 2>&1 {machine_lock}<&-
}

# verify NAME OPTION...: four jobs, 5 MiB apart.
verify() {
	fio_on --size="${FIO_SIZE:-5}M" --numjobs=4 --offset_increment=5M --verify=crc32c \
		--verify_fatal=1 --verify_dump=0 --randrepeat=1 --name="$@" ||
		fail "fio $*: $(tail -n 20 "$dir/fio.out")"
}

# Until the daemon goes: allocates, overwrites and flushes.
start_fio() {
	fio_on --name=load --size="$1" --numjobs=2 --ioengine=io_uring \
		--iodepth=16 --rw=randwrite --bsrange=4k-64k --fsync=24 \
		--norandommap --randrepeat=0 --time_based --runtime=600 &
	fio=$!
}

fio_ended() {
	wait_until "fio has ended" is_gone "$fio"
	wait "$fio" 2>/dev/null && fail "fio met no error: $(<"$dir/fio.out")"
	return 0
}

# Some of it came through.
has_written() {
	local written
	is_gone "$fio" && fail "fio: $(<"$dir/fio.out")"
	report
	written=$(sed -n 's/.* written=\([0-9]*\).*/\1/p' "$dir/report")
	((written > 300000))
}

fio_verify() {
	local cache options
	head -c 7000001 /dev/urandom >"$dir/base"
	truncate -s 9M "$dir/base"
	for cache in direct host; do
		options=cluster_size=64k
		[[ $cache == direct ]] ||
			options=cluster_size=32k,extended_l2=on,refcount_bits=1
		rm -f "$image"
		create -o "$options" -b base -F raw "$image" 20973056
		mount_rawfuse --format=qcow2 --cache=$cache "$image" "$file"
		verify mixed --rw=randwrite --ioengine=io_uring --iodepth=32 \
			--bsrange=4k-128k --blockalign=4k --size=2M
		cp "$file" "$dir/copy"
		unmount_rawfuse "$file"
		check "$image" 0
		same "$dir/copy"
		# All of it, in an image that was written before.
		mount_rawfuse --format=qcow2 --cache=$cache "$image" "$file"
		verify buffered --rw=randrw --direct=0 --ioengine=psync \
			--bsrange=4k-64k --blockalign=4k --fsync=64
		verify unaligned --rw=randwrite --direct=0 --ioengine=psync \
			--bsrange=700-9000 --bs_unaligned --size=600k \
			--offset_increment=614401 --offset=1
		cp "$file" "$dir/copy"
		unmount_rawfuse "$file"
		check "$image" 0
		same "$dir/copy"
	done
	rm -f "$image" "$dir/base" "$dir/copy"
}

unmount_fs() { wait_until "the file system is unmounted" umount "$dir/mnt"; }
no_loops() { [[ -z $(our_loops) ]]; }

# Files, some of them removed, and what they held given back.
filesystem() {
	local full
	create "$image" 200M
	mount_rawfuse "$image" "$file"
	succeed mkfs.ext4 -q -F "$file"
	mkdir -p "$dir/mnt"
	succeed mount -o loop "$file" "$dir/mnt"
	head -c 20000000 /dev/urandom >"$dir/data"
	succeed cp "$dir/data" "$dir/mnt/data"
	succeed cp "$dir/data" "$dir/mnt/more"
	succeed cp -r "$abs_top_srcdir/tests/integration" "$dir/mnt/tree"
	sync -f "$dir/mnt"
	full=$(stat -c %b "$image")
	rm "$dir/mnt/more"
	sync -f "$dir/mnt" # what is removed can be trimmed then
	succeed fstrim "$dir/mnt"
	unmount_fs
	wait_until "the loop device is free" no_loops
	succeed e2fsck -fn "$file" >"$dir/fsck" 2>&1
	cp "$file" "$dir/copy"
	unmount_rawfuse "$file"
	(($(stat -c %b "$image") < full - 20000)) ||
		fail "fstrim freed nothing: $full, $(stat -c %b "$image") blocks"
	check "$image" 0
	same "$dir/copy"

	mount_rawfuse -r "$image" "$file"
	succeed mount -o loop,ro "$file" "$dir/mnt"
	succeed cmp "$dir/data" "$dir/mnt/data"
	succeed diff -r "$abs_top_srcdir/tests/integration" "$dir/mnt/tree"
	unmount_fs
	wait_until "the loop device is free" no_loops
	unmount_rawfuse "$file"
	rmdir "$dir/mnt"
	rm -f "$image" "$dir/copy" "$dir/data"
}

# The active disk goes on, the snapshots stay.
snapshots() {
	local name
	make_image model 3M
	succeed qemu-img convert -f raw -O qcow2 "$dir/model" "$image"
	succeed qemu-img snapshot -c monday "$image"
	cp "$dir/model" "$dir/monday"
	for name in tuesday active; do
		mount_rawfuse "$image" "$file"
		head -c 500000 /dev/urandom >"$dir/data"
		for p in "$dir/model" "$file"; do
			succeed dd if="$dir/data" of="$p" bs=7919 \
				seek=$((${#name} * 4)) conv=notrunc status=none
			expect 0 fileop "$p" punch 65536 131072
		done
		succeed cmp "$dir/model" "$file"
		unmount_rawfuse "$file"
		check "$image" 0
		same "$dir/model"
		cp "$dir/model" "$dir/$name"
		[[ $name == active ]] ||
			succeed qemu-img snapshot -c "$name" "$image"
	done
	for name in monday 1 tuesday; do
		mount_rawfuse --snapshot="$name" "$image" "$file"
		succeed cmp "$dir/${name/1/monday}" "$file"
		expect EROFS fileop "$file" pwrite 0 512
		succeed cmp "$dir/${name/1/monday}" "$file"
		unmount_rawfuse "$file"
	done
	refuses "snapshot.*friday" --snapshot=friday "$image" "$file"
	check "$image" 0
	same "$dir/active"
	rm -f "$image" "$dir"/{model,monday,tuesday,active,data}
}

# refuses PATTERN ARGUMENT...: one line that matches, and status 1.
refuses() {
	local pattern=$1 got
	shift
	timeout 20 "$RAWFUSE" --io-uring="$transport" "$@" >"$dir/said" 2>&1
	got=$?
	((got == 1 && $(wc -l <"$dir/said") == 1)) &&
		[[ $(<"$dir/said") =~ ^rawfuse:\ .*$pattern ]] ||
		fail "$*: ended with $got and said '$(<"$dir/said")'"
}

# exports RAW ARGUMENT...: the exported file is like RAW.
exports() {
	local like=$1
	shift
	mount_rawfuse "$@" "$file"
	succeed cmp "$like" "$file"
	unmount_rawfuse "$file"
}

formats() {
	local at
	make_image base 1M
	create -b base -F raw "$image"
	refuses "backing file 'base'.*--format=qcow2" "$image" "$file"
	refuses "backing file 'base'.*--format=qcow2" -r --format=auto \
		"$image" "$file"
	refuses "backing file 'base'.*--backing=off" --format=qcow2 \
		--backing=off "$image" "$file"
	exports "$dir/base" --format=qcow2 "$image"
	exports "$image" -r --format=raw "$image"
	refuses "qcow2: " --format=qcow2 "$dir/base" "$file"

	# Of no recorded format: that header extension is another then.
	at=$(grep -obUaP -m 1 '\xe2\x79\x2a\xca' "$image" | head -n 1)
	[[ -n $at ]] || fail "no backing format in the header"
	printf '\x01' | dd of="$image" bs=1 seek="${at%%:*}" conv=notrunc status=none
	refuses "--backing-format" --format=qcow2 "$image" "$file"
	exports "$dir/base" --format=qcow2 --backing-format=raw "$image"
	refuses "base: qcow2: " --format=qcow2 --backing-format=qcow2 \
		"$image" "$file"
	refuses "backing file 'base'.*--format=qcow2" --backing-format=raw \
		"$image" "$file"

	# One that stands alone may be guessed.
	rm "$image"
	succeed qemu-img convert -f raw -O qcow2 "$dir/base" "$image"
	exports "$dir/base" "$image"
	exports "$dir/base" --backing=off "$image"
	rm "$image"
	create -o data_file="$dir/data" "$image" 1M
	refuses "data file .*--format=qcow2" "$image" "$file"
	rm "$image" "$dir/data" "$dir/base"
}

# What an empty backing file or data file does not have reads as zeros.
empty_below() {
	truncate -s 1M "$dir/zeros"
	: >"$dir/base"
	create -b base -F raw "$image" 1M
	exports "$dir/zeros" --format=qcow2 "$image"
	rm "$image"
	create -o data_file="$dir/data" "$image" 1M
	: >"$dir/data"
	exports "$dir/zeros" -r --format=qcow2 "$image"
	rm "$image" "$dir"/{data,base,zeros}
}

# put64 OFFSET NUMBER...: in the image, in its byte order.
put64() {
	local at=$1
	shift
	printf '%016x' "$@" | sed 's/../\\x&/g' | xargs -0 printf |
		dd of="$image" bs=1M oflag=seek_bytes seek="$at" \
			conv=notrunc status=none
}
get64() { od -An -v -tu8 --endian=big -j "$1" -N 8 "$image" | tr -d ' '; }

# What is punched takes no storage in a data file either; what is written
# there later stays.
data_file() {
	local i
	create -o data_file="$dir/data" "$image" 20M
	mount_rawfuse --format=qcow2 "$image" "$file"
	expect 20000000 fileop "$file" pwrite 0 20000000 7
	expect 0 fileop "$file" fsync
	(($(stat -c %b "$dir/data") > 39000)) || fail "data is not in its file"
	for ((i = 0; i < 10; i++)); do
		expect 0 fileop "$file" punch $((i << 21)) $((2 << 20))
		expect 0 fileop "$file" fsync
		expect 5000 fileop "$file" pwrite $(((i << 21) + 65536)) 5000 9
	done
	unmount_rawfuse "$file"
	(($(stat -c %b "$dir/data") < 3000)) ||
		fail "punching freed nothing: $(stat -c %b "$dir/data") blocks"
	check "$image" 0
	mount_rawfuse --format=qcow2 "$image" "$file"
	for ((i = 0; i < 10; i++)); do
		expect yes fileop -r "$file" is $(((i << 21) + 65536)) 5000 9
		expect yes fileop -r "$file" is $((i << 21)) 65536 0
	done
	unmount_rawfuse "$file"
	rm "$image" "$dir/data"
}

# A disk of 2 PiB, whose 4 million L1 entries all name one empty L2 table.
make_endless() {
	local l1 table i
	create "$image" 2P
	l1=$(get64 40)
	table=$((($(stat -c %s "$image") + 65535) / 65536 * 65536))
	truncate -s $((table + 65536)) "$image"
	put64 "$l1" "$table"
	for ((i = 8; i < 1 << 25; i *= 2)); do
		dd if="$image" of="$image" bs=1M count=$i skip="$l1" \
			seek=$((l1 + i)) conv=notrunc status=none \
			iflag=skip_bytes,count_bytes oflag=seek_bytes ||
			fail "dd"
	done
}

start_seek() {
	fileop -r "$file" data 0 >"$dir/found" {machine_lock}<&- &
	seek=$!
	wait_until "the seek has come" seeks
}
seeks() { report; grep -q 'in_flight=[1-9]' "$dir/report"; }

# A seek that would take minutes keeps nobody waiting: not other requests, not
# a signal, and in the end not its caller.
endless() {
	local seek
	mount_rawfuse -r --grace=0 "$image" "$file"
	start_seek
	expect yes fileop -r "$file" is 1000000 4096 0
	wait_until "the seek has ended" is_gone "$seek"
	[[ $(<"$dir/found") =~ ^[0-9]{10,}$ ]] || fail "seek: $(<"$dir/found")"
	start_seek
	kill "$daemon"
	wait_daemon 0
	wait_until "the seek has ended" is_gone "$seek"
	[[ $(<"$dir/found") == [A-Z]* ]] || fail "seek: $(<"$dir/found")"
	no_mounts || fail "SIGTERM left a mount"
}

# A mark is written behind the end, so that the image's tables grow, and
# flushed: it outlasts what comes.
MARKS_AT=$((256 << 20)) MARKS_STEP=$((5 << 20))
marks=0
write_mark() {
	local at=$((MARKS_AT + marks * MARKS_STEP))
	expect 3000 fileop "$file" pwrite $at 3000 $((marks % 250 + 1))
	expect 0 fileop "$file" fsync
	((++marks))
}

# check_marks FIRST
check_marks() {
	local i
	for ((i = $1 < 0 ? 0 : $1; i < marks; i++)); do
		expect yes fileop -r "$file" is \
			$((MARKS_AT + i * MARKS_STEP)) 3000 $((i % 250 + 1))
	done
}

says_not_connected() { [[ $(fileop -r "$file" open) == ENOTCONN ]]; }

# Another daemon takes the image up each time.
kills() {
	local i
	for ((i = 0; i < $1; i++)); do
		mount_rawfuse --growable "$image" "$file"
		check_marks $((marks - 2))
		start_fio 256M
		wait_until "fio writes" has_written
		write_mark
		sleep 0.0$((RANDOM % 50 + 10))
		kill -9 "$daemon"
		wait_until "it is dead" is_gone "$daemon"
		fio_ended
		wait_until "the mount is dead" says_not_connected
		succeed umount "$file"
		rm -f "$file" "$dir/pid"
		check "$image" 0 3
	done
	mount_rawfuse --growable "$image" "$file"
	check_marks 0
	unmount_rawfuse "$file"
	check "$image" 0 3
} 2>/dev/null

# term GRACE: its grace is over while fio goes on, or it has none.
term() {
	succeed qemu-img check -q -r leaks "$image" >/dev/null 2>&1
	mount_rawfuse --growable --grace="$1" "$image" "$file"
	start_fio 256M
	wait_until "fio writes" has_written
	write_mark
	kill "$daemon"
	wait_daemon 0
	fio_ended
	no_mounts || fail "SIGTERM left a mount"
	check_log 'busy|^$'
	check "$image" 0
	mount_rawfuse "$image" "$file"
	check_marks 0
	unmount_rawfuse "$file"
}

# Small clusters: tables of all kinds are made, and move, all the time.
deaths() {
	kills "${QCOW2_KILLS:-25}"
	term 0
	term 1
}

require_tool qemu-img fio cmp diff
each_transport fio_verify
if ! have_tool mkfs.ext4 || ! grep -qw ext4 /proc/filesystems; then
	skip_part "no ext4"
elif ! losetup --find >/dev/null 2>&1; then
	skip_part "no loop device"
else
	each_transport filesystem
fi
each_transport snapshots
each_transport formats
each_transport empty_below
each_transport data_file
make_endless
each_transport endless
rm "$image"
create -o cluster_size=4k "$image" 256M
each_transport deaths
finish
