# A disk in a format that rawfuse does not read is refused, with the command
# that helps, and not exported as raw; what is raw is not refused.
. "$abs_top_srcdir/tests/integration/lib.sh"

file=$dir/disk.raw

# refused NAME PATTERN: read-only or not; a line that matches; nothing done.
refused() {
	local image=$dir/$1 option
	cp "$image" "$dir/before"
	for option in --format=auto --read-only; do
		timeout 20 "$RAWFUSE" --io-uring="$transport" "$option" "$image" "$file" \
			>"$dir/out" 2>&1
		(($? == 1)) || fail "$1 $option: not refused: $(<"$dir/out")"
		[[ $(wc -l <"$dir/out") == 1 && $(<"$dir/out") =~ $1:\ open:\ .*$2 &&
			$(<"$dir/out") == *"'$image'"*"--format=raw"* ]] ||
			fail "$1 $option: it said '$(<"$dir/out")', not '$2'"
		[[ ! -e $file ]] || fail "$1 $option: the mountpoint is left"
	done
	succeed cmp "$image" "$dir/before"
}

# exported NAME [OPTION...]: it is a disk, byte by byte.
exported() {
	local image=$dir/$1
	shift
	mount_rawfuse "$@" "$image" "$file"
	cp "$image" "$dir/before"
	cmp "$dir/before" "$file" || fail "$image $*: the file is not the image"
	unmount_rawfuse "$file"
}

# by_qemu NAME FORMAT [OPTION...]: false if this qemu-img does not write it.
by_qemu() {
	local name=$1 format=$2
	shift 2
	rm -f "$dir/$name"
	qemu-img convert -f raw -O "$format" "$@" "$dir/raw.img" "$dir/$name" >"$dir/out" 2>&1 ||
		skip_part "$format $*: qemu-img does not write it"
	[[ -s $dir/$name ]]
}

disks() {
	local kind
	for kind in monolithicSparse monolithicFlat streamOptimized twoGbMaxExtentSparse; do
		! by_qemu disk.vmdk vmdk -o subformat=$kind ||
			refused disk.vmdk "vmdk.*qemu-img convert -f vmdk"
	done
	! by_qemu disk.vmdk vmdk -o compat6 || refused disk.vmdk vmdk
	for kind in off on; do
		! by_qemu disk.vdi vdi -o static=$kind ||
			refused disk.vdi "vdi.*qemu-img convert -f vdi"
	done
	for kind in dynamic fixed; do
		! by_qemu disk.vhd vpc -o subformat=$kind,force_size=on ||
			refused disk.vhd "vhd.*qemu-img convert -f vpc"
		! by_qemu disk.vhdx vhdx -o subformat=$kind ||
			refused disk.vhdx "vhdx.*qemu-img convert -f vhdx"
	done
	for kind in qed parallels qcow; do
		! by_qemu disk.$kind $kind ||
			refused disk.$kind "qemu-img convert -f $kind -O qcow2"
	done
	[[ ! -e $dir/disk.qcow ]] || refused disk.qcow "version 1"
	# The first products' trailer was a byte shorter.
	by_qemu old.vhd vpc -o subformat=fixed,force_size=on || return 0
	truncate -s -1 "$dir/old.vhd"
	refused old.vhd vhd
	exported disk.vhd --format=raw
}

compressed() {
	local program
	for program in gzip "gzip -1 -n" xz "xz -C none" zstd "zstd -T2 -19" bzip2; do
		have_tool "${program%% *}" || {
			skip_part "${program%% *} is not installed"
			continue
		}
		succeed $program -c <"$dir/raw.img" >"$dir/packed.img"
		refused packed.img "${program%% *} -dc"
		: >"$dir/nothing"
		succeed $program -c <"$dir/nothing" >"$dir/packed.img"
		refused packed.img "${program%% *} -dc"
	done
	# A file whose disk is the compressed one.
	succeed gzip -c <"$dir/raw.img" >"$dir/packed.img"
	exported packed.img --format=raw
}

# The unit tests have more.
raw_disks() {
	cp "$dir/raw.img" "$dir/plain"
	printf 'LUKS\xba\xbe\0\2' | dd of="$dir/plain" conv=notrunc status=none
	exported plain
	head -c 64k /dev/zero >"$dir/plain" # ISO 9660
	printf '\1CD001\1\0' | dd of="$dir/plain" bs=1 seek=32768 conv=notrunc status=none
	exported plain
	(cd "$abs_top_srcdir" && tar cf "$dir/plain" man)
	exported plain
}

on_a_device() {
	local loop
	by_qemu disk.vdi vdi || return 0
	truncate -s %512 "$dir/disk.vdi"
	loop=$(losetup -f --show "$dir/disk.vdi") || {
		skip_part "no loop devices"
		return 0
	}
	timeout 20 "$RAWFUSE" "$loop" "$file" >"$dir/out" 2>&1 && fail "exported $loop"
	[[ $(<"$dir/out") =~ $loop:\ open:\ .*vdi ]] || fail "it said: $(<"$dir/out")"
	succeed losetup -d "$loop"
}

require_tool qemu-img gzip tar
head -c 256k /dev/urandom >"$dir/raw.img"
transport=off
disks
compressed
raw_disks
on_a_device
finish
