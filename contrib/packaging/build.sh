#!/usr/bin/env bash
# build.sh deb|rpm|files TARBALL DIR: packages of the tarball of make dist, in DIR.
#
#	deb	by dpkg-buildpackage; lintian's opinion, where it is installed
#	rpm	by rpmbuild; on a system whose own packages are not RPMs without
#		its look at what is installed
#	files	the files for all systems, with the version filled in
#
# DEBFULLNAME and DEBEMAIL say whose package it is.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
die() { echo "build.sh: $*" >&2; exit 1; }
[ $# = 3 ] || { echo "usage: $0 deb|rpm|files TARBALL DIR" >&2; exit 2; }
kind=$1
tarball=$(realpath "$2")
mkdir -p "$3"
dir=$(cd "$3" && pwd)
version=${tarball##*/rawfuse-}
version=${version%.tar.xz}
[ "$tarball" != "$version" ] && [ -s "$tarball" ] ||
  die "$2: not the tarball of make dist"
who="${DEBFULLNAME:-$(id -un)} <${DEBEMAIL:-$(id -un)@$(hostname)}>"

# filled FROM TO
filled() {
  local date license
  date=$(date -R -d "@${SOURCE_DATE_EPOCH:-$(stat -c %Y "$tarball")}")
  license=$(tar xOf "$tarball" "rawfuse-$version/COPYING" | sed '1,4d
    s/^$/./; s/^/ /; 5s/^/License: BSD-2-Clause\n/')
  cp -R "$1" "$2"
  find "$2" -type f -exec sed -i "s/@VERSION@/$version/; s/@DATE@/$date/
    s/@MAINTAINER@/$who/" {} +
  [ ! -e "$2/copyright" ] || {
    grep -v '^@LICENSE@' "$1/copyright"
    printf '%s\n' "$license"
  } >"$2/copyright"
}

case $kind in
files)
  for name in debian rpm alpine openwrt; do
    rm -rf "${dir:?}/$name"
    filled "$here/$name" "$dir/$name"
  done
  ;;
deb)
  rm -rf "$dir/rawfuse-$version"
  cp "$tarball" "$dir/rawfuse_$version.orig.tar.xz"
  tar xf "$tarball" -C "$dir"
  filled "$here/debian" "$dir/rawfuse-$version/debian"
  cd "$dir/rawfuse-$version"
  dpkg-buildpackage -us -uc >"$dir/deb.log" 2>&1 ||
    { tail -n 30 "$dir/deb.log" >&2; die "dpkg-buildpackage failed"; }
  ls -l "$dir"/rawfuse_"$version"-1_*.deb
  # No bug of Debian is closed by a package that is not in Debian.
  ! command -v lintian >/dev/null || lintian --allow-root \
    --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs \
    "$dir/rawfuse_$version-1_$(dpkg --print-architecture).changes"
  ;;
rpm)
  mkdir -p "$dir/rpmbuild/SOURCES"
  cp "$tarball" "$dir/rpmbuild/SOURCES/"
  filled "$here/rpm/rawfuse.spec" "$dir/rawfuse.spec"
  options=
  [ -e /etc/redhat-release ] || [ -e /etc/SuSE-release ] || options=--nodeps
  # shellcheck disable=SC2086
  rpmbuild -ba $options --define "_topdir $dir/rpmbuild" "$dir/rawfuse.spec" \
    >"$dir/rpm.log" 2>&1 ||
    { tail -n 30 "$dir/rpm.log" >&2; die "rpmbuild failed"; }
  find "$dir/rpmbuild/RPMS" -name '*.rpm' -exec ls -l {} +
  ;;
*) die "$kind: none of deb, rpm, files" ;;
esac
