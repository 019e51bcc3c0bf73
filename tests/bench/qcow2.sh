# The qcow2 section: an image with all clusters written, beside the raw image
# with the same bytes; a large one, its tables not cached; an empty one, every
# write to a new place. Sourced by bench.sh.

qcow2_servers="raw qcow2 qemu qemu-new"

make_qcow2_images() {
	say "making qcow2 images in $dir"
	qemu-img create -q -f qcow2 -o preallocation=metadata \
		"$dir/full.qcow2" "$size"
	qemu-img convert -n -f raw -O qcow2 "$image" "$dir/full.qcow2"
	qemu-img create -q -f qcow2 -o preallocation=metadata \
		"$dir/cold.qcow2" "$cold_size"
	truncate -s "$cold_size" "$dir/cold.raw.img"
	sync "$dir/full.qcow2" "$dir/cold.qcow2"
}

# run_qcow2 BACKEND NAME
run_qcow2() {
	local backend=$1 name=$2 image=$image format=qcow2 server=$2 workload

	case $name in
	raw) server=uring format=raw ;;
	qcow2) server=uring image=$dir/full.qcow2 ;;
	*) image=$dir/full.qcow2 ;;
	esac
	prepare "$backend"
	run_one qcow2 "$backend" "$name" r1 w1 r32 w32 R1M W1M
	local size=$cold_size
	image=$dir/cold.qcow2
	[ $format != raw ] || image=$dir/cold.raw.img
	for workload in c1 c32; do
		prepare direct
		run_one qcow2-cold "$backend" "$name" $workload
	done
	image=$dir/new.img
	for workload in a1 a16; do
		rm -f "$image"
		qemu-img create -q -f $format "$image" "$size"
		run_one qcow2-alloc "$backend" "$name" $workload
	done
	rm -f "$image"
}

qcow2_rounds() {
	local backend name reason

	have qemu-img || {
		fact missing "qcow2: no qemu-img (Debian: qemu-utils)"
		return 0
	}
	make_qcow2_images
	for ((round = 1; round <= rounds; round++)); do
		for backend in $backends; do
			[ "$backend" != null ] || continue
			for name in $qcow2_servers; do
				reason=$(missing "$name")
				[ -z "$reason" ] || continue
				say "qcow2, round $round: $backend, $name"
				run_qcow2 "$backend" "$name"
			done
		done
	done
	rm -f "$dir"/*.qcow2 "$dir/cold.raw.img"
}
