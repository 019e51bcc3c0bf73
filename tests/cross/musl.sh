# musl.sh FROM PREFIX: builds the static libraries that rawfuse and its unit
# tests link, for musl, of the sources in FROM/src; PREFIX/musl-gcc is the
# compiler. FROM is what packages.sh unpacked for musl.
#
# Of zstd the half that reads, and Check without its own build system, which
# takes more tools than rawfuse's: what it would find out is known here.
set -eu
from=$1 prefix=$2
here=$(cd "$(dirname "$0")" && pwd)
lib=$from/usr/lib/x86_64-linux-musl
host=x86_64-linux-musl

mkdir -p "$prefix/include" "$prefix/lib/pkgconfig"
cd "$prefix"
# The kernel's headers are those of the system.
for dir in linux asm-generic mtd; do
	[ ! -e /usr/include/$dir ] || ln -sfn /usr/include/$dir include/$dir
done
asm=/usr/include/x86_64-linux-gnu/asm
[ -e $asm ] || asm=/usr/include/asm
ln -sfn $asm include/asm
sed "s#/usr/lib/$host#$lib#g; s#/usr/include/$host#$from/usr/include/$host#g;
	s#/lib/ld-musl-x86_64.so.1#$lib/libc.so#" \
	"$lib/musl-gcc.specs" >specs
cat >musl-gcc <<END
#!/bin/sh
exec gcc "\$@" -specs $prefix/specs -idirafter $prefix/include -L$prefix/lib
END
chmod +x musl-gcc
CC=$prefix/musl-gcc
export CC

for name in libev liburing zlib libzstd check; do
	dpkg-source --no-check -x "$from"/src/${name}_*.dsc $name
done

(cd libev && ./configure --host=$host --disable-shared --prefix="$prefix" &&
	make install)
(cd liburing && ./configure --cc="$CC" --prefix="$prefix" &&
	make -C src ENABLE_SHARED=0 install && make liburing.pc &&
	cp liburing.pc "$prefix/lib/pkgconfig/")
(cd zlib && ./configure --static --prefix="$prefix" && make install)
(cd libzstd && make -j2 -C lib PREFIX="$prefix" ZSTD_LIB_COMPRESSION=0 \
	ZSTD_LIB_DICTBUILDER=0 ZSTD_LIB_DEPRECATED=0 ZSTD_LEGACY_SUPPORT=0 \
	install-static install-includes install-pc)

cd check
set -- $(sed -n 's/^CHECK_\(MAJOR\|MINOR\|MICRO\)_VERSION=//p' configure.ac)
[ $# = 3 ]
sed "s/@CHECK_MAJOR_VERSION@/$1/; s/@CHECK_MINOR_VERSION@/$2/
	s/@CHECK_MICRO_VERSION@/$3/
	s/@HAVE_FORK@/1/; s/@ENABLE_SUBUNIT@/0/" src/check.h.in >src/check.h
echo '#include <stdint.h>' >check_stdint.h
cp "$here/check-config.h" config.h
$CC -c -O1 -D_GNU_SOURCE -DHAVE_CONFIG_H -I. -Ilib -Isrc \
	src/check.c src/check_*.c lib/libcompat.c
ar rc "$prefix/lib/libcheck.a" ./*.o
cp src/check.h check_stdint.h "$prefix/include/"
cat >"$prefix/lib/pkgconfig/check.pc" <<END
Name: check
Description: unit tests for C
Version: $1.$2.$3
Libs: -L$prefix/lib -lcheck
Cflags: -I$prefix/include
END
