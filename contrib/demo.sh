#!/usr/bin/env bash
# Installs what is needed, builds, and shows the main job on a real mount: a
# disk with a file system in it, read and written through the exported file.
set -eu
cd "$(dirname "$0")/.."
. contrib/lib.sh

# shellcheck disable=SC2086
install $build_packages $demo_packages
enable_uring
dir=${BUILD_DIR:-$top/build}
say "Building in $dir"
build "$dir"
rawfuse=$dir/rawfuse

work=$(mktemp -d)
cleanup() {
  mountpoint -q "$work/fs" && as_root umount "$work/fs"
  [ -e "$work/pid" ] && as_root umount -l "$work/disk.raw"
  as_root rm -rf "$work"
}
trap cleanup EXIT
run() { printf '$ %s\n' "$*"; as_root "$@"; }
counters() {
  as_root kill -USR1 "$(cat "$work/pid")"
  for _ in $(seq 100); do
    grep -q '^rawfuse: image:' "$work/log" && return
    sleep 0.05
  done
  die "no counters came"
}

say "A disk of 256 MiB with an ext4 file system and a file in it"
mkdir "$work/fs" "$work/content"
echo 'written when the disk was made' >"$work/content/old.txt"
head -c 64M /dev/urandom >"$work/content/data.bin"
sum=$(sha256sum <"$work/content/data.bin")
truncate -s 256M "$work/disk.img"
mkfs.ext4 -q -d "$work/content" "$work/disk.img"

say "Exported: disk.raw is the disk"
printf '$ rawfuse disk.img disk.raw\n'
cd "$work"
as_root "$rawfuse" -f --pidfile=pid disk.img disk.raw 2>log &
for _ in $(seq 200); do [ -e pid ] && break; sleep 0.05; done
[ -e pid ] || { cat log >&2; die "the export did not start"; }
run ls -l disk.raw

say "The file system in it: one file read, one written"
if run mount -o loop disk.raw fs 2>/dev/null; then
  [ "$(as_root cat fs/data.bin | sha256sum)" = "$sum" ] || die "wrong data"
  run cat fs/old.txt
  echo 'written through rawfuse' | as_root tee fs/new.txt >/dev/null
  run umount fs
else
  say "(no loop device here: debugfs does it)"
  [ "$(as_root debugfs -R 'cat /data.bin' disk.raw 2>/dev/null | sha256sum)" = "$sum" ] ||
    die "wrong data"
  echo 'written through rawfuse' >new.txt
  as_root debugfs -w -R 'write new.txt new.txt' disk.raw >/dev/null 2>&1
fi

say "How fast: the whole disk, in pieces of 1 MiB past the page cache"
start=$(date +%s%N)
as_root dd if=disk.raw of=/dev/null bs=1M iflag=direct 2>/dev/null
end=$(date +%s%N)
size=$(as_root stat -c %s disk.raw)
counters
printf '%s MiB/s read\n' $((size * 1000000000 / (end - start) / 1048576))
grep -E 'rawfuse: (requests|bytes|transport|io_uring):' log |
  sed 's/^rawfuse: //'

say "Unmounted; the process ends when all is flushed"
run umount disk.raw
for _ in $(seq 400); do [ -e pid ] || break; sleep 0.05; done
[ -e pid ] && die "the process did not end"
wait

say "The write is in the image"
printf '$ debugfs -R "cat /new.txt" disk.img\n'
debugfs -R 'cat /new.txt' disk.img 2>/dev/null | tee new.check
[ "$(cat new.check)" = 'written through rawfuse' ] ||
  die "the write is not in the image"
e2fsck -fn disk.img >/dev/null 2>&1 || die "the file system is damaged"
say "Done: the file system in the image is clean, and has both files"
