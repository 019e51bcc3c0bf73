# Common to demo.sh and check.sh: packages, build. Sourced, not run.

build_packages='build-essential autoconf automake pkg-config libev-dev liburing-dev zlib1g-dev libzstd-dev'
demo_packages='e2fsprogs util-linux'
check_packages='check musl-dev fdisk fio rsync gddrescue qemu-utils e2fsprogs xfsprogs fuse3 valgrind mandoc util-linux bzip2 xz-utils zstd'
vm_packages='qemu-system-x86 busybox-static cpio kmod xz-utils debian-archive-keyring'

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '== %s\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# install PACKAGE...: what is missing of them, on Debian and its kin.
install() {
  local missing=() p
  if ! command -v apt-get >/dev/null; then
    say "Not a Debian or Ubuntu system. These packages (Debian's names) are" \
      "needed; if one is missing, the build says so: $*"
    return
  fi
  for p in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] ||
      missing+=("$p")
  done
  [ ${#missing[@]} = 0 ] && return
  say "Installing ${missing[*]}"
  {
    as_root apt-get update &&
      as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "${missing[@]}"
  } >"${TMPDIR:-/tmp}/rawfuse-apt.$$" 2>&1 || {
    tail -n 20 "${TMPDIR:-/tmp}/rawfuse-apt.$$" >&2
    die "apt-get install failed"
  }
  rm -f "${TMPDIR:-/tmp}/rawfuse-apt.$$"
}

# try_to_install PACKAGE...: the same, for what can be done without.
try_to_install() {
  (install "$@") || say "Without $*"
}

# Asks the kernel for FUSE and FUSE over io_uring, as far as we may.
enable_uring() {
  local param=/sys/module/fuse/parameters/enable_uring
  [ -e /dev/fuse ] || as_root modprobe fuse 2>/dev/null || true
  [ -e $param ] || return 0
  [ "$(cat $param)" = Y ] ||
    as_root sh -c "echo Y > $param" 2>/dev/null ||
    say "fuse.enable_uring could not be turned on: requests go by /dev/fuse"
}

# build DIR [CONFIGURE OPTION...]: out of tree; output only if it fails.
build() {
  local dir=$1
  shift
  mkdir -p "$dir"
  [ ! -e "$top/config.status" ] ||
    die "there is a build in the source tree itself: make distclean there first"
  [ -x "$top/configure" ] && [ "$top/configure" -nt "$top/configure.ac" ] ||
    (cd "$top" && autoreconf -fi) >"$dir/build.log" 2>&1 ||
    { tail -n 30 "$dir/build.log" >&2; die "autoreconf failed"; }
  (cd "$dir" && "$top/configure" "$@" && make -j"$(nproc)") \
    >"$dir/build.log" 2>&1 ||
    { tail -n 30 "$dir/build.log" >&2; die "the build failed"; }
}
