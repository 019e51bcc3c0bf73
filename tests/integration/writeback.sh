# --writeback-cache: what the kernel keeps is in the image after fsync, close
# and umount; an image that cannot grow stays as it is, and nobody is told
# otherwise.
. "$abs_top_srcdir/tests/integration/lib.sh"

image=$dir/disk.img
file=$dir/disk.raw

written() { report; sed -n 's/.* written=\([0-9]*\).*/\1/p' "$dir/report"; }
# A process writes "hello" and keeps the file open, until release.
hold() {
	rm -f "$dir/gate"
	mkfifo "$dir/gate"
	(exec 1<>"$file" && printf hello && read -r _ <"$dir/gate") {machine_lock}<&- &
	holder=$!
	exec {gate}>"$dir/gate" # it is written when the other end is open
}

release() {
	exec {gate}>&-
	wait "$holder"
}

mode_is() { [[ $(stat -c %a "$file") == "$1" ]]; }
size_is() { [[ $(stat -c %s "$file") == "$1" ]]; }
mtime() { stat -c %Y "$1"; }

# dd_fails REASON ARGUMENT...
dd_fails() {
	local why=$1
	shift
	dd if=/dev/zero of="$file" conv=notrunc "$@" 2>"$dir/dd.err" &&
		fail "dd $* has succeeded"
	grep -q "$why" "$dir/dd.err" || fail "dd $*: $(<"$dir/dd.err")"
}

# Size and time are the image's from the start, not the kernel's zeros.
attributes() {
	make_image disk.img 5000001
	touch -d 2020-02-02 "$image"
	mount_rawfuse -o writeback_cache "$image" "$file"
	expect 5000001 stat -c %s "$file"
	expect "$(date -d 2020-02-02 +%s)" mtime "$file"
	succeed cmp "$image" "$file"
	succeed touch -d 2021-01-01 "$file"
	expect "$(date -d 2021-01-01 +%s)" mtime "$file"
	# A resize is one, on both sides.
	expect 0 fileop "$file" truncate 6000000
	expect 6000000 stat -c %s "$image"
	expect 4096 fileop "$file" pwrite 5990000 4096 1
	expect EPERM fileop "$file" truncate 5500000
	expect 6000000 stat -c %s "$file"
	unmount_rawfuse "$file"
	# Over the image itself; read-only.
	mount_rawfuse --writeback-cache "$image" "$image"
	expect 6000000 stat -c %s "$image"
	unmount_rawfuse "$image"
	mount_rawfuse --writeback-cache -r "$image" "$file"
	expect 6000000 stat -c %s "$file"
	expect EROFS fileop "$file" pwrite 0 1
	unmount_rawfuse "$file"
}

# Kept, then written by fsync; parts of pages through write-only handles.
kept() {
	make_image disk.img 3000001
	cp "$image" "$dir/copy"
	mount_rawfuse --writeback-cache "$image" "$file"
	hold
	expect 0 written
	expect 0 fileop "$file" fsync
	expect 4096 written
	release
	printf 'hello' | dd of="$dir/copy" conv=notrunc status=none
	head -c 3000 /dev/urandom >"$dir/piece"
	local f
	for f in "$file" "$dir/copy"; do
		succeed dd if="$dir/piece" of="$f" bs=1k oflag=seek_bytes \
			seek=1234567 conv=notrunc status=none
		succeed dd if="$dir/piece" of="$f" bs=1k oflag=seek_bytes \
			seek=2997001 conv=notrunc status=none
		expect 70000 fileop "$f" map 2930001 70000 7
	done
	# Past the page cache: both sides see one file.
	expect 100 fileop "$file" pwrite 500 100 1
	expect yes fileop -d "$file" is 500 100 1
	expect 777 fileop -d "$file" pwrite 4000 777 2
	expect yes fileop "$file" is 4000 777 2
	expect 100 fileop "$dir/copy" pwrite 500 100 1
	expect 777 fileop "$dir/copy" pwrite 4000 777 2
	succeed cmp "$file" "$dir/copy"
	unmount_rawfuse "$file"
	succeed cmp "$image" "$dir/copy"
}

# What is kept in a hole is data, whatever the image says.
seeking() {
	rm -f "$image"
	truncate -s 1M "$image"
	mount_rawfuse --writeback-cache "$image" "$file"
	hold
	expect 0 fileop "$file" data 0
	expect 1048576 fileop "$file" hole 0
	release
	unmount_rawfuse "$file"
}

# Taken into the cache, refused when written: who asks is told, and the size
# is put right.
past_the_end() {
	make_image disk.img 1000001
	mount_rawfuse --writeback-cache "$image" "$file"
	dd_fails 'No space' bs=4096 seek=500 count=1 conv=notrunc,fsync
	wait_until "the size is right" size_is 1000001
	dd_fails 'No space' bs=4096 seek=500 count=1
	wait_until "the size is right" size_is 1000001
	# Across the end: the part before it is written.
	dd_fails 'No space' bs=1000 oflag=seek_bytes seek=999990 count=20 conv=notrunc,fsync
	wait_until "the size is right" size_is 1000001
	expect yes fileop "$file" is 999990 11 0
	expect yes fileop "$image" is 999990 11 0
	dd_fails 'No space' bs=4096 count=1 oflag=append conv=notrunc,fsync
	wait_until "the size is right" size_is 1000001
	expect ENOSPC fileop -d "$file" pwrite 1000001 100
	# O_TRUNC drops what the kernel keeps, and what comes after is kept.
	expect 1000001 fileop "$file" map_trunc 12345 10 5
	expect yes fileop "$file" is 12345 10 5
	expect yes fileop "$file" is 0 12345 0
	# And it still works.
	expect 4096 fileop "$file" pwrite 4096 4096 5
	expect 1000001 stat -c %s "$file"
	unmount_rawfuse "$file" 'a write past the end was refused'
	expect 1000001 stat -c %s "$image"
	expect yes fileop "$image" is 4096 4096 5
}

growing() {
	make_image disk.img 10000
	mount_rawfuse --writeback-cache --growable "$image" "$file"
	printf 'tail' >>"$file"
	expect 10004 stat -c %s "$file"
	expect 10004 stat -c %s "$image"
	succeed dd if=/dev/zero of="$file" bs=1k count=101 status=none
	expect 103424 stat -c %s "$file"
	unmount_rawfuse "$file"
	expect 103424 stat -c %s "$image"
	expect yes fileop "$image" is 0 103424 0
}

# A write past the end has a child of rawfuse's set the size right. While that
# waits for its answer, umount is not told that the file is busy.
umount_at_once() {
	local i caught=0 pid
	make_image disk.img 1000001
	for ((i = 0; i < 6; i++)); do
		mount_rawfuse --writeback-cache "$image" "$file"
		exec {held}>>"$file"
		printf x >&"$held"
		{ exec {held}>&-; } 2>/dev/null
		kill -STOP "$daemon"
		[[ -z $(cat "/proc/$daemon/task/$daemon/children" 2>/dev/null) ]] || ((++caught))
		rm -f "$dir/out"
		"$helpers/fileop" "$file" umount >"$dir/out" {machine_lock}<&- &
		pid=$!
		wait_until "umount has ended, or waits" ended_or_waits "$pid"
		kill -CONT "$daemon"
		wait "$pid"
		expect 0 cat "$dir/out"
		wait_daemon 0
		check_log 'a write past the end was refused'
	done
	say "in $caught of $i the child was there"
}
ended_or_waits() {
	local state
	state=$(awk '$1 == "State:" { print $2 }' "/proc/$1/status" 2>/dev/null)
	[[ ${state:-Z} == Z || ($state == [DS] && /proc/$1/exe -ef $helpers/fileop) ]]
}

models() {
	local seed cache
	for seed in ${MODEL_SEEDS:-31 32}; do
		for cache in direct host; do
			make_image disk.img 1234567
			mount_rawfuse --writeback-cache --growable --cache=$cache "$image" "$file"
			"$helpers/model" run -g -s "$seed" -n "${MODEL_OPERATIONS:-1000}" \
				-m 3000000 "$file" "$dir/copy" || fail "seed $seed, $cache"
			unmount_rawfuse "$file"
			succeed cmp "$image" "$dir/copy"
			make_image disk.img 1234567
			mount_rawfuse --writeback-cache --cache=$cache "$image" "$file"
			"$helpers/model" run -i -s "$seed" -n "${MODEL_OPERATIONS:-1000}" \
				-m 3000000 "$file" "$dir/copy" || fail "seed $seed, $cache, fixed"
			unmount_rawfuse "$file"
			succeed cmp "$image" "$dir/copy"
		done
	done
}

qcow2() {
	rm -f "$dir/disk.qcow2"
	succeed qemu-img create -q -f qcow2 "$dir/disk.qcow2" 2000000
	mount_rawfuse --writeback-cache "$dir/disk.qcow2" "$file"
	"$helpers/model" run -i -s 33 -n 500 -m 3000000 "$file" "$dir/copy" || fail "qcow2"
	unmount_rawfuse "$file"
	succeed qemu-img check -q "$dir/disk.qcow2"
	succeed qemu-img compare -q -f qcow2 -F raw "$dir/disk.qcow2" "$dir/copy"
}

# The set-user-ID bit goes when somebody else writes.
set_user_id() {
	make_image disk.img 100000
	mount_rawfuse --writeback-cache --allow-other=on "$image" "$file"
	chmod 4777 "$file"
	chmod 755 "$dir"
	setpriv --reuid 65534 --regid 65534 --clear-groups \
		dd if=/dev/zero of="$file" bs=100 count=1 conv=notrunc status=none ||
		fail "others may not write"
	# The kernel remembers the mode for a second.
	wait_until "the bit is gone" mode_is 777
	unmount_rawfuse "$file"
}

# Ends: what was written before the mount went away is in the image.
ends() {
	fresh_held
	kill "$daemon"
	wait_until "it is detached" no_mounts
	wait_until "what was kept is written" has_hello
	release
	wait_daemon 0
	check_log 'detached'
	expect yes fileop "$image" is 5 4091 0
	# Killed: what was not asked for is lost, and what fsync was told is not.
	fresh_held
	expect 0 fileop "$file" fsync
	kill -9 "$daemon"
	wait_until "it is gone" is_gone "$daemon"
	wait "$daemon" 2>/dev/null
	rm -f "$dir/pid"
	release
	succeed umount "$file"
	has_hello || fail "what fsync was told is lost"
	rm -f "$file"
}

# fresh_held [GRACE]
fresh_held() {
	rm -f "$image"
	truncate -s 1M "$image"
	mount_rawfuse --writeback-cache --grace="${1:-60}" "$image" "$file"
	hold
}
has_hello() { [[ $(head -c 5 "$image" | tr -d '\0') == hello ]]; }

# No grace: what was written before is in the image; what may have come since
# is not known to be, and the exit status says so.
no_grace() {
	fresh_held 0
	kill "$daemon"
	wait_daemon 1
	has_hello || fail "what was kept is lost"
	check_log 'not synced is lost'
	release
	# The same if only somebody in another mount namespace holds it.
	rm -f "$image"
	truncate -s 1M "$image"
	mount_rawfuse --writeback-cache --grace=0 "$image" "$file"
	mkfifo "$dir/gate2"
	unshare -m --propagation private bash -c \
		'exec 1<>"$1" && printf hello && read -r _ <"$2"' \
		hold "$file" "$dir/gate2" {machine_lock}<&- &
	holder=$!
	exec {gate}>"$dir/gate2"
	kill "$daemon"
	wait_daemon 1
	has_hello || fail "what another namespace wrote is lost"
	release
	rm "$dir/gate2"
}

# The image's file system is full when the kernel writes: who asks is told, at
# every time, and so is who looks at the end.
full_disk() {
	mkdir "$dir/small"
	succeed mount -t tmpfs -o size=2M none "$dir/small"
	truncate -s 8M "$dir/small/disk.img"
	mount_rawfuse --writeback-cache "$dir/small/disk.img" "$file"
	exec {held}<>"$file"
	dd_fails 'No space' bs=64k count=64 conv=notrunc,fsync
	fsync_fails
	expect 4096 fileop "$file" pwrite 0 4096 1
	fsync_fails
	{ exec {held}>&-; } 2>/dev/null
	succeed umount "$file"
	wait_daemon 1
	check_log 'No space left on device: what was written is lost'
	wait_until "its file system is free" umount "$dir/small" 2>"$dir/err"
	rmdir "$dir/small"
}

# EIO is ours; the kernel may tell what it has heard first.
fsync_fails() { [[ $(fileop "$file" fsync) == E* ]] || fail "fsync has succeeded"; }

require_tool cmp setpriv unshare
each_transport attributes
each_transport kept
each_transport seeking
each_transport past_the_end
each_transport umount_at_once
each_transport growing
each_transport models
if have_tool qemu-img; then
	each_transport qcow2
else
	skip_part "qcow2: qemu-img is not installed"
fi
each_transport set_user_id
each_transport ends
each_transport no_grace
each_transport full_disk
finish
