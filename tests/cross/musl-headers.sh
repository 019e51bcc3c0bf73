# Every source is looked at by the compiler with the headers of musl (Debian's
# musl-dev): what only glibc declares is found without building anything. The
# kernel's headers and those of libraries are the system's. make check-cross
# builds and runs; this takes some seconds.
set -u
: "${abs_top_builddir:?: run by make check}" "${abs_top_srcdir:?}"
skip() { printf 'SKIP: %s\n' "$*"; exit 77; }

cc=${CC:-gcc}
musl=/usr/include/$(uname -m)-linux-musl
[[ -e $musl/stdio.h ]] || skip "no headers of musl in $musl (Debian: musl-dev)"
own=$($cc -print-file-name=include 2>/dev/null)
[[ -e $own/stddef.h ]] || skip "$cc does not tell where its headers are"
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT

# link NAME...: of the system's headers, where the compiler finds them.
mkdir "$work/include" "$work/config"
link() {
	local name from
	for name; do
		for from in "/usr/include/$(uname -m)-linux-gnu" /usr/include; do
			[[ ! -e $from/$name ]] || ln -sfn "$from/$name" "$work/include/$name"
		done
	done
}
link linux asm asm-generic mtd ev.h liburing liburing.h zlib.h zconf.h zstd.h \
	zstd_errors.h check.h check_stdint.h

# What configure has found in glibc counts only if musl declares it, too.
while read -r word name value; do
	case $name in
	HAVE_*_H | HAVE_Z*) ;;
	HAVE_*)
		declared=${name#HAVE_} declared=${declared#STRUCT_}
		grep -rqw "${declared,,}" "$musl" || continue
		;;
	esac
	printf '%s\n' "$word $name $value"
done <"$abs_top_builddir/config.h" >"$work/config/config.h"

cd "$abs_top_srcdir" || exit 99
count=0 failed=0
look_at() { # DIRECTORY SOURCE...: its headers
	$cc -std=gnu11 -fsyntax-only -Wall -Werror -DHAVE_CONFIG_H \
		-I"$work/config" -Isrc -I"$1" -nostdinc -isystem "$musl" \
		-isystem "$own" -idirafter "$work/include" "${@:2}" || failed=1
	((count += $# - 1))
}
look_at src src/*.c src/*/*.c src/*/*/*.c
look_at tests/qcow2 tests/qcow2/*.c
look_at tests/integration tests/integration/*.c
[[ ! -e $work/include/check.h ]] || look_at tests/unit tests/unit/*.c
((failed == 0)) || { echo "FAIL: this needs another C library than musl"; exit 1; }
echo "$count sources pass"
