# A little of everything, in seconds: what make check-vm runs in each mode.
. "$abs_top_srcdir/tests/integration/lib.sh"

image=$dir/disk.img
file=$dir/disk.raw

# Every request as large as it can be, past the page cache and through it.
whole() {
	local flags
	rm -f "$image"
	truncate -s 3M "$image"
	mount_rawfuse "$@" "$image" "$file"
	for flags in oflag=direct conv=notrunc,fsync; do
		head -c 3145728 /dev/urandom >"$dir/data"
		succeed dd if="$dir/data" of="$file" bs=1M status=none \
			${flags/direct/direct conv=notrunc}
		succeed cmp "$dir/data" "$file"
		dd if="$file" bs=1M iflag=direct status=none |
			cmp "$dir/data" - || fail "direct reads: $*, $flags"
	done
	unmount_rawfuse "$file"
}

random() {
	make_image disk.img 1234567
	mount_rawfuse --growable "$image" "$file"
	"$helpers/model" run -g -s 5 -n 60 -m 2000000 "$file" "$dir/copy" ||
		fail "the model"
	unmount_rawfuse "$file"
	succeed cmp "$image" "$dir/copy"
}

qcow2() {
	make_image base 3000001
	cp "$dir/base" "$dir/like"
	truncate -s 4M "$dir/like"
	succeed qemu-img create -q -f qcow2 -b base -F raw "$dir/disk.qcow2" 4M
	mount_rawfuse --format=qcow2 "$dir/disk.qcow2" "$file"
	"$helpers/model" run $model_options -s 6 -n 60 -m 4194304 "$file" "$dir/copy" ||
		fail "the model on qcow2"
	unmount_rawfuse "$file"
	succeed qemu-img check -q -f qcow2 "$dir/disk.qcow2"
	succeed qemu-img compare -q -f raw -F qcow2 "$dir/copy" "$dir/disk.qcow2"
	rm "$dir/disk.qcow2" "$dir/base"
}

is_dead() { [[ $(fileop -r "$file" open) == ENOTCONN ]]; }

acknowledged() { [[ -n $(tr -d '\0' <"$dir/state" 2>/dev/null | head -c 1) ]]; }

# kill -9 under load: no caller is left waiting, what was promised is there.
killed() {
	local loader
	rm -f "$image" "$dir/state"
	truncate -s 2M "$image"
	mount_rawfuse "$image" "$file"
	"$helpers/load" run "$file" "$dir/state" 4 >"$dir/load.out" {machine_lock}<&- &
	loader=$!
	wait_until "the load has started" acknowledged
	kill -9 "$daemon"
	wait_until "every caller has ended" is_gone "$loader"
	wait_until "the mount is dead" is_dead
	succeed umount "$file"
	"$helpers/load" check "$image" "$dir/state" || fail "promises were broken"
	rm -f "$file" "$dir/pid"
} 2>/dev/null

require_tool cmp qemu-img
each_transport whole --cache=direct
each_transport whole --cache=host
each_transport random
each_transport qcow2
each_transport killed
finish
