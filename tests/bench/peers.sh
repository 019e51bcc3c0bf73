#!/bin/bash
# peers.sh DIR: fetches newer peers for the benchmark into DIR, installing
# nothing: qemu-storage-daemon with its libraries from Debian's archive, and
# libfuse with io_uring, which Debian's binary lacks, built from Debian's
# source. `make bench-peers` calls it. For Debian and its kin on amd64 or
# arm64; the second needs meson, ninja, liburing-dev and libnuma-dev.
#
#   BENCH_SUITE   of the archive (sid)
#   BENCH_MIRROR  (where the system has its own packages from)
set -eu -o pipefail

suite=${BENCH_SUITE:-sid}
here=$(cd "$(dirname "$0")" && pwd)
mirror=${BENCH_MIRROR:-$(bash "$here/../../contrib/mirror.sh")} || {
	echo "no mirror in apt's sources; set BENCH_MIRROR" >&2
	exit 1
}
keys=/usr/share/keyrings/debian-archive-keyring.gpg

mkdir -p "$1"
cd "$1"
dir=$PWD
mkdir -p apt/lists/partial apt/archives/partial source
touch apt/status
for kind in deb deb-src; do
	echo "$kind [signed-by=$keys] $mirror $suite main"
done >apt/sources
# An apt that knows of nothing installed, and can install nothing.
cat >apt/conf <<END
Dir::State "$dir/apt";
Dir::State::status "$dir/apt/status";
Dir::Cache "$dir/apt";
Dir::Etc::sourcelist "$dir/apt/sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::preferences "/dev/null";
APT::Sandbox::User "root";
END
export APT_CONFIG=$dir/apt/conf
apt-get -q update

apt-get -q install -y --download-only --no-install-recommends qemu-utils
rm -rf root
mkdir root
for package in apt/archives/*.deb; do
	dpkg-deb -x "$package" root
done
echo "qemu-storage-daemon: in $dir/root"

for tool in meson ninja; do
	command -v $tool >/dev/null || {
		echo "libfuse: not built, no $tool (Debian: meson," \
			"ninja-build, liburing-dev, libnuma-dev)" >&2
		exit 1
	}
done
rm -rf source libfuse
mkdir source
cd source
apt-get -q source --download-only fuse3
unset APT_CONFIG
tar xf fuse3_*.orig.tar.[gx]z --strip-components=1
meson setup build --buildtype=release --prefix="$dir/libfuse" --libdir=lib \
	-Dexamples=false -Dtests=false -Dutils=false
grep -q 'define HAVE_URING' build/*.h || {
	echo "libfuse: built without io_uring (Debian: liburing-dev," \
		"libnuma-dev)" >&2
	exit 1
}
meson install -C build
cp build/libfuse_config.h "$dir/libfuse/include/fuse3/" 2>/dev/null || :
PKG_CONFIG_PATH=$dir/libfuse/lib/pkgconfig pkg-config --modversion fuse3 \
	>"$dir/libfuse/version"
echo "libfuse $(<"$dir/libfuse/version"): in $dir/libfuse"
