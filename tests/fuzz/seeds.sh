#!/bin/bash
# seeds.sh DIRECTORY: images for the fuzz targets, made by qemu-img; small
# ones first. With --small only those that are worth keeping in the tree.
set -u
small=
[ "$1" = --small ] && small=1 && shift
mkdir -p "$1" && cd "$1" || exit 99

fill() {
	qemu-io -f qcow2 -c 'write -P 1 0 2k' -c 'write -P 2 7k 1536' \
		-c 'write -z 4k 2k' -c 'write -P 3 30k 1k' "$1" >/dev/null
}

make() { # NAME OPTIONS SIZE [BACKING]
	qemu-img create -q -f qcow2 -u -o "$2" ${4:+-b "$4" -F raw} \
		"$1.qcow2" "$3" || exit 99
}

truncate -s 40000 base.raw data.raw
make empty cluster_size=512 64k
make v2 cluster_size=512,compat=0.10 64k && fill v2.qcow2
make plain cluster_size=512 64k && fill plain.qcow2
make wide cluster_size=512,refcount_bits=64 64k && fill wide.qcow2
make backing cluster_size=512 64k base.raw && fill backing.qcow2
make lazy cluster_size=512,lazy_refcounts=on 64k && fill lazy.qcow2
make snapshots cluster_size=512 64k && fill snapshots.qcow2 &&
	qemu-img snapshot -c one snapshots.qcow2 &&
	qemu-io -f qcow2 -c 'write -P 9 1k 1k' snapshots.qcow2 >/dev/null
make external cluster_size=512,data_file=data.raw 64k && fill external.qcow2
yes rawfuse | head -c 8192 >src
qemu-img convert -c -f raw -O qcow2 -o cluster_size=1k src packed.qcow2
qemu-img convert -c -f raw -O qcow2 -o cluster_size=1k,compression_type=zstd \
	src zpacked.qcow2
if [ -z "$small" ]; then
	make bitmap cluster_size=4k 128k &&
		qemu-img bitmap --add bitmap.qcow2 b0 && fill bitmap.qcow2
	make sub cluster_size=16k,extended_l2=on 256k && fill sub.qcow2
	make subbacking cluster_size=16k,extended_l2=on 256k base.raw &&
		fill subbacking.qcow2
	make full cluster_size=4k,preallocation=metadata 256k
	make big cluster_size=64k 1M && fill big.qcow2
	make huge cluster_size=4k 1T && fill huge.qcow2
fi
rm -f src base.raw data.raw
