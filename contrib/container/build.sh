#!/usr/bin/env bash
# build.sh DIR [CONFIGURE OPTION...]: a static rawfuse, with musl, in DIR, and the
# image rawfuse of it where podman or buildah is installed; prints both sizes.
# Libraries come from Debian's sources by way of tests/cross, which tells what
# that takes; DIR keeps them, so the next build is quick. --without-zstd and
# --without-zlib make it smaller.
set -eu
[ $# -gt 0 ] || { echo "usage: $0 DIR [CONFIGURE OPTION...]" >&2; exit 2; }
top=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)
shift
[ -x "$top/configure" ] || (cd "$top" && autoreconf -fi) >"$dir/autoreconf.log" 2>&1

CFLAGS='-Os -g0 -ffunction-sections -fdata-sections'
export CFLAGS="$CFLAGS -fno-asynchronous-unwind-tables"
prefix=$dir/libraries
if [ ! -e "$prefix/done" ]; then
  rm -rf "$prefix"
  from=$(bash "$top/tests/cross/packages.sh" musl)
  bash "$top/tests/cross/musl.sh" "$from" "$prefix" >"$dir/libraries.log" 2>&1 ||
    { tail -n 20 "$dir/libraries.log" >&2; exit 1; }
  touch "$prefix/done"
fi
mkdir -p "$dir/build"
(cd "$dir/build" && "$top/configure" --host=x86_64-linux-musl \
  CC="$prefix/musl-gcc" CPPFLAGS="-I$prefix/include" \
  LDFLAGS='-static -s -Wl,--gc-sections,--build-id=none,-z,noseparate-code' \
  PKG_CONFIG_LIBDIR="$prefix/lib/pkgconfig" "$@" &&
  make -j2 rawfuse) >"$dir/build.log" 2>&1 ||
  { tail -n 20 "$dir/build.log" >&2; exit 1; }
mkdir -p "$dir/image"
cp "$dir/build/rawfuse" "$dir/image/rawfuse"
echo "program: $(($(stat -c %s "$dir/image/rawfuse") / 1024)) KiB," \
  "$dir/image/rawfuse"

for tool in podman buildah; do
  command -v $tool >/dev/null || continue
  $tool build -q -t rawfuse -f "$top/contrib/container/Containerfile" \
    "$dir/image" >"$dir/image.log" 2>&1 ||
    { tail -n 20 "$dir/image.log" >&2; exit 1; }
  size=$($tool inspect --type image -f '{{.Size}}' localhost/rawfuse \
    2>>"$dir/image.log") || continue
  echo "image: $((size / 1024)) KiB, localhost/rawfuse"
  break
done
