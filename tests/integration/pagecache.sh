# What the kernel caches of the file is read again from there; the image is
# not cached a second time below.
. "$abs_top_srcdir/tests/integration/lib.sh"

image=$dir/disk.img
file=$dir/disk.raw
SIZE=4194304 # whole pages

# Requests so far, and the bytes they read.
reads() {
	report
	sed -n 's/.* READ=\([0-9]*\).*/\1/p; s/.*bytes: read=\([0-9]*\).*/\1/p' "$dir/report" |
		tr '\n' ' '
}

drop_image() {
	sync "$image"
	dd if="$image" iflag=nocache count=0 status=none
}

# Opened and read anew, and by mmap: no request comes.
rereads() {
	local before
	make_image disk.img $SIZE
	mount_rawfuse "$@" "$image" "$file"
	succeed cmp "$image" "$file"
	expect 1024 fileop "$file" cached
	before=$(reads)
	[[ $before == *" $SIZE "* ]] || fail "it was read as '$before'"
	succeed cmp "$image" "$file"
	cat "$file" >/dev/null
	expect "$before" reads
	# A write changes the cache with the image, and no page is read for it.
	expect 4096 fileop "$file" pwrite 8192 4096 7
	expect yes fileop "$file" is 8192 4096 7
	expect "$before" reads
	# Past the cache: it is read from there afterwards, not from a stale page.
	expect 4096 fileop -d "$file" pwrite 8192 4096 8
	expect yes fileop "$file" is 8192 4096 8
	unmount_rawfuse "$file"
}

cached_once() {
	local n
	make_image disk.img $SIZE
	drop_image
	n=$(fileop -r "$image" cached)
	((n == 0)) || { skip_part "this file system keeps pages"; return; }
	start_rawfuse --format=raw --cache=direct "$image" "$file"
	wait_until "rawfuse is ready" is_ready_or_gone
	if is_gone "$daemon"; then
		skip_part "this file system has no O_DIRECT"
		return
	fi
	cat "$file" >/dev/null
	expect 1024 fileop "$file" cached
	expect 0 fileop -r "$image" cached
	expect 4194304 fileop "$file" pwrite 0 4194304 1
	expect 0 fileop -r "$image" cached
	unmount_rawfuse "$file"
	drop_image
	mount_rawfuse --cache=host "$image" "$file"
	cat "$file" >/dev/null
	expect 1024 fileop -r "$image" cached # the other way tells
	unmount_rawfuse "$file"
}

# The kernel reads ahead two requests of the largest size, and never less than
# it would.
read_ahead() {
	local bdi size
	make_image disk.img $SIZE
	for size in 1M 4k; do
		mount_rawfuse --max-write=$size "$image" "$file"
		bdi=/sys/class/bdi/$(stat -c %Hd:%Ld "$file")/read_ahead_kb
		if [[ -w $bdi ]]; then
			expect "$([[ $size == 1M ]] && say 2048 || say 128)" cat "$bdi"
		else
			skip_part "read-ahead: $bdi is not writable"
		fi
		unmount_rawfuse "$file"
	done
}

require_tool cmp
each_transport rereads --cache=auto
each_transport rereads --cache=host
each_transport rereads --cache=host --writeback-cache
each_transport cached_once
each_transport read_ahead
finish
