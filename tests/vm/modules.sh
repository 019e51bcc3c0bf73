# modules.sh KERNEL OUT: the modules that the tests need of a kernel that
# kernel.sh has unpacked, as an initramfs with the order to load them in.
set -eu
export LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin
kernel=${1:?KERNEL} out=${2:?OUT}
wanted='fuse ext4 crc32c_generic crc32c nvme loop overlay'

work=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/modules"
: >"$work/modules/order"
for dir in "$kernel"/lib/modules/*; do
	[[ -d $dir ]] || continue
	for tool in depmod modprobe; do
		command -v $tool >/dev/null || {
			echo "no modules: $tool is not installed (package kmod)" >&2
			exit 77
		}
	done
	release=${dir##*/}
	[[ -e $dir/modules.dep.bin ]] || depmod -b "$kernel" "$release" 2>/dev/null
	for m in $wanted; do
		modprobe -d "$kernel" -S "$release" --show-depends "$m" 2>/dev/null ||
			true
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' |
		while read -r file; do
			name=${file##*/}
			case $name in
			*.xz) xz -dc "$file" >"$work/modules/${name%.xz}" ;;
			*.zst) zstd -qdc "$file" >"$work/modules/${name%.zst}" ;;
			*) cp "$file" "$work/modules/" ;;
			esac
			name=${name%.xz}
			echo "${name%.zst}" >>"$work/modules/order"
		done
done
(cd "$work" && find modules | sort | cpio -o -H newc -R 0:0 --quiet) >"$out.new"
mv "$out.new" "$out"
