# Zero-copy (Linux 7.3): the bytes that arrive, and those around them that must
# stay; on raw images, and where the bytes must be seen: qcow2.
. "$abs_top_srcdir/tests/integration/lib.sh"

image=$dir/disk.img
file=$dir/disk.raw
RAWFUSE_OPTIONS=--zero-copy=on
RAWFUSE_EXPECT='mode=zero-copy,'

number_of() { sed -n "s/^.*[ :]$1=\([0-9]*\).*/\1/p" "$dir/report"; }

# guarded REFERENCE: every way to read it.
guarded() {
	local how
	for how in "" -d; do
		"$helpers/guard" $how "$file" "$1" >"$dir/guard.out" ||
			fail "guard $how: $(<"$dir/guard.out")"
		say "${how:-cached}: $(<"$dir/guard.out")"
	done
	report
	(($(number_of zero_copied) > 0)) || fail "nothing was zero-copied"
}

raw() {
	local size
	for size in 2097152 1500001 1234432 700; do
		head -c "$size" /dev/urandom >"$image"
		cp "$image" "$dir/reference"
		mount_rawfuse "$@" "$image" "$file"
		guarded "$dir/reference"
		unmount_rawfuse "$file"
		succeed cmp "$image" "$dir/reference"
	done
}

# A chain of a raw image, a compressed one with zero clusters and holes, and
# one with clusters of its own.
qcow2() {
	local disk=$dir/disk.qcow2 data=$dir/data
	rm -f "$dir"/*.qcow2
	{
		head -c 400000 /dev/urandom
		yes "compresses well" | head -c 700000
		head -c 200001 /dev/zero
		head -c 300000 /dev/urandom
	} >"$data"
	head -c 2500000 /dev/urandom >"$dir/base.raw"
	succeed qemu-img create -q -f qcow2 -b base.raw -F raw "$dir/middle.qcow2" 3000320
	succeed qemu-img convert -q -c -f raw -O qcow2 "$data" "$dir/packed.qcow2"
	succeed qemu-io -f qcow2 -c "write -q -P 5 65536 131072" \
		-c "write -q -z 1703936 196608" -c "write -q -P 9 2900000 100320" \
		-c "write -q -c -P 3 1048576 65536" \
		-c "write -q -c -P 4 1114112 65536" "$dir/middle.qcow2"
	succeed qemu-img create -q -f qcow2 -b middle.qcow2 -F qcow2 "$disk" 3500032
	succeed qemu-io -f qcow2 -c "write -q -P 7 300000 100000" \
		-c "write -q -z 589824 65536" "$disk"
	for disk in "$dir/packed.qcow2" "$dir/disk.qcow2"; do
		succeed qemu-img convert -f qcow2 -O raw "$disk" "$dir/reference"
		mount_rawfuse --format=qcow2 "$@" "$disk" "$file"
		guarded "$dir/reference"
		(($(number_of bounced) > 0)) || fail "nothing was bounced"
		# Written over, in part: copy on write, and what is allocated.
		"$helpers/model" run $model_options -s 12 -n "${MODEL_OPERATIONS:-400}" \
			-m 3500032 "$file" "$dir/copy" || fail "the model"
		unmount_rawfuse "$file"
		succeed qemu-img check -q -f qcow2 "$disk"
		succeed qemu-img compare -q -f raw -F qcow2 "$dir/copy" "$disk"
	done
}

require_tool cmp qemu-img qemu-io
uring_enabled || skip "fuse.enable_uring is not Y"
make_image disk.img 1M
transport=on
RAWFUSE_OPTIONS=--zero-copy=auto RAWFUSE_EXPECT= mount_rawfuse "$image" "$file"
report
unmount_rawfuse "$file"
grep -q 'mode=zero-copy,' "$dir/report" ||
	skip "no zero-copy here: $(sed -n 's/^.*why=//p' "$dir/report")"
raw --cache=direct
raw --cache=host
qcow2
qcow2 --cache=direct
finish
