#!/usr/bin/env bash
# sizes.sh RAWFUSE [DIR]: how large it is, and how long it takes to start: from
# exec until 4 KiB of the file have been read; median, least and most of 21 runs.
# With DIR also the static program and the container image of build.sh, which
# works in DIR: without and with what reads compressed clusters. make sizes calls
# it. As root.
set -eu
rawfuse=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'umount "$work/disk.raw" 2>/dev/null || :; rm -rf "$work"' EXIT

kib() { echo "$((($(stat -c %s "$1") + 512) / 1024)) KiB"; }

# start_up NAME PROGRAM IMAGE OPTION...
start_up() {
  local name=$1 program=$2 image=$3 from to times=()
  shift 3
  for _ in {1..21}; do
    from=${EPOCHREALTIME/./}
    "$program" "$@" "$image" "$work/disk.raw"
    head -c 4096 "$work/disk.raw" >/dev/null
    to=${EPOCHREALTIME/./}
    umount "$work/disk.raw"
    "$program" --wait "$work/disk.raw" 2>/dev/null || :
    times+=($((to - from)))
  done
  mapfile -t times < <(printf '%s\n' "${times[@]}" | sort -n)
  awk -v name="$name" -v m="${times[10]}" -v l="${times[0]}" -v h="${times[20]}" \
    'BEGIN { printf "start, %-28s %.1f ms (%.1f to %.1f)\n", name ":", m / 1000, l / 1000, h / 1000 }'
}

strip -o "$work/stripped" "$rawfuse"
echo "program, this build:               $(kib "$work/stripped") stripped"
if [ $# -gt 1 ]; then
  for set in 'neither zlib nor zstd|--without-zlib --without-zstd' \
    'zlib|--without-zstd' 'zlib and zstd|'; do
    # shellcheck disable=SC2086
    said=$(bash "$here/container/build.sh" "$2" ${set#*|})
    printf 'program, static, %-17s %s\n' "${set%|*}:" \
      "$(kib "$2/image/rawfuse")"
    printf '%s\n' "$said" | sed -n 's/^image: \([0-9]* KiB\).*/container image:                   \1/p'
  done
fi

: >"$work/disk.raw"
truncate -s 64M "$work/disk.img"
start_up 'raw, io_uring' "$rawfuse" "$work/disk.img" --io-uring=auto
start_up 'raw, /dev/fuse' "$rawfuse" "$work/disk.img" --io-uring=off
if command -v qemu-img >/dev/null; then
  qemu-img create -q -f qcow2 "$work/disk.qcow2" 64M
  start_up 'qcow2, io_uring' "$rawfuse" "$work/disk.qcow2" --io-uring=auto
fi
[ $# -eq 1 ] ||
  start_up 'static, raw, io_uring' "$2/image/rawfuse" "$work/disk.img" \
    --io-uring=auto
