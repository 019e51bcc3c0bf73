# Other machines and another C library: builds rawfuse for each, and runs the
# unit tests and the programs of tests/qcow2 that need no mount; make check-cross
# calls it. Prints a line for each test, and counts at the end. Exits 1 if
# something failed, 77 if nothing could be run.
#
#	musl	static, with musl; runs as it is
#	i386	32 bits      } under qemu-user: its kernel is this one, reached
#	s390x	big endian   } through the emulator's system calls, so no ring
#	arm64, armhf	} the same; only if CROSS asks for them
#
# What make VARIABLE=... sets:
#	CROSS		of these (musl i386 s390x)
#	CROSS_TESTS	of the tests, version, unit, fail, oracle (all); with none
#			it is only built
#	CROSS_LIMIT	seconds for a test (1200)
#	Q2_SEED, Q2_OPS, Q2_POINTS, Q2_EVERY	as tests/qcow2/README has them
#
# What it builds and its logs are in tests/cross of the build directory.
set -u
export LC_ALL=C
: "${abs_top_builddir:?: run by make check-cross}" "${abs_top_srcdir:?}"
here=$abs_top_srcdir/tests/cross
: "${CROSS:=musl i386 s390x}" "${CROSS_LIMIT:=1200}"
: "${CROSS_TESTS=version unit fail oracle}"
: "${Q2_OPS:=60}" "${Q2_POINTS:=20}" "${Q2_EVERY:=11}"
export Q2_OPS Q2_POINTS Q2_EVERY
# What make and the caller's own build are set to, is not for these.
unset MAKEFLAGS MFLAGS MAKELEVEL CC CFLAGS CPPFLAGS LDFLAGS LIBS \
	PKG_CONFIG_PATH
passed=0 failed=0 skipped=0 built=0

skip() {
	printf 'SKIP: %s: %s\n' "$machine" "$*"
	((++skipped))
}

fail() {
	printf 'FAIL: %s: %s\n' "$machine" "$*"
	((++failed))
}

# need WHAT: the directory of packages.sh's in $got.
need() {
	local rc
	got=$(bash "$here/packages.sh" "$1" 2>"$dir/packages.log")
	rc=$?
	if ((rc == 77)); then
		skip "$(tail -n 1 "$dir/packages.log")"
	elif ((rc != 0)); then
		fail "the packages for $1: $(tail -n 1 "$dir/packages.log")"
	fi
	return $rc
}

# Sets $setup, words for configure, and $host; $run, what runs a program.
prepare_musl() {
	local prefix=$dir/prefix
	need musl || return 1
	mkdir "$prefix"
	if ! bash "$here/musl.sh" "$got" "$prefix" >"$dir/musl.log" 2>&1; then
		fail "the libraries were not built:"
		tail -n 20 "$dir/musl.log"
		return 1
	fi
	host=x86_64-linux-musl run=() strip=(strip)
	setup=(CC="$prefix/musl-gcc" CPPFLAGS="-I$prefix/include"
		LDFLAGS=-static PKG_CONFIG_LIBDIR="$prefix/lib/pkgconfig")
}

# prepare_emulated TRIPLE MULTIARCH EMULATOR
prepare_emulated() {
	local root tools gcc lib
	need "$machine" || return 1
	root=$got
	need "tools-$1" || return 1
	tools=$got
	need emulator || return 1
	run=("$got/usr/bin/qemu-$3-static" -L "$root")
	host=$1
	gcc=("$tools/usr/bin/$1"-gcc-[0-9]*)
	lib=("$root/usr/lib/gcc/$1"/*)
	# It looks for its parts beside itself, for libraries in the root; of
	# its own library it expects to be told.
	cat >"$dir/gcc" <<-END
		#!/bin/sh
		LD_LIBRARY_PATH=$tools/usr/lib/x86_64-linux-gnu
		export LD_LIBRARY_PATH
		exec ${gcc[0]} --sysroot=$root -B${lib[0]}/ -L${lib[0]} "\$@"
	END
	chmod +x "$dir/gcc"
	strip=(env LD_LIBRARY_PATH="$tools/usr/lib/x86_64-linux-gnu"
		"$tools/usr/bin/$1-strip")
	setup=(CC="$dir/gcc" CFLAGS='-g -O1'
		PKG_CONFIG_LIBDIR="$root/usr/lib/$2/pkgconfig"
		PKG_CONFIG_SYSROOT_DIR="$root")
}

build() {
	mkdir "$dir/build" && cd "$dir/build" || exit 99
	if ! { "$abs_top_srcdir/configure" --host="$host" --enable-werror \
		"${setup[@]}" && make -j2 rawfuse tests/unit/unit \
		tests/qcow2/q2test tests/qcow2/q2fail tests/qcow2/q2check; } \
		>"$dir/build.log" 2>&1; then
		fail "the build; $dir/build.log ends in"
		tail -n 20 "$dir/build.log"
		return 1
	fi
	"${strip[@]}" -o rawfuse.stripped rawfuse &&
		printf 'SIZE: %s: %s KiB\n' "$machine" \
			$(($(stat -c %s rawfuse.stripped) / 1024))
	# The scripts of tests/qcow2 call these; see README on what is not
	# emulated.
	mkdir "$dir/bin"
	for name in q2test q2fail q2check; do
		cat >"$dir/bin/$name" <<-END
			#!/bin/bash
			set -- "\${@/#ring=real/ring=emulated}"
			set -- "\${@/#cache=direct/cache=auto}"
			exec ${run[*]} $dir/build/tests/qcow2/$name "\$@"
		END
		((${#run[@]} != 0)) || ln -sf \
			"$dir/build/tests/qcow2/$name" "$dir/bin/$name"
		chmod +x "$dir/bin/$name"
	done
}

# try NAME COMMAND...: a line, with the last one that COMMAND printed.
try() {
	local name=$1 log=$dir/$1.log rc said start=$SECONDS
	shift
	[[ " $CROSS_TESTS " == *" $name "* ]] || return
	timeout -k 10 "$CROSS_LIMIT" "$@" >"$log" 2>&1
	rc=$?
	said=$(grep -E 'Checks:| passed, |^SKIP: ' "$log" | tail -n 1)
	case $rc in
	0)
		printf 'PASS: %s: %s: %s (%s s)\n' "$machine" "$name" \
			"${said:-fine}" $((SECONDS - start))
		((++passed))
		;;
	77) skip "$name: ${said#SKIP: }" ;;
	124 | 137) fail "$name: took more than $CROSS_LIMIT s; see $log" ;;
	*)
		fail "$name: ${said:-exit $rc}"
		grep -vE 'Checks:|^rawfuse: ' "$log" | tail -n 40
		;;
	esac
}

# An emulated machine does everything many times slower.
test_it() {
	cd "$dir/build" || exit 99
	try version "${run[@]}" ./rawfuse --version
	CK_TIMEOUT_MULTIPLIER=30 try unit "${run[@]}" tests/unit/unit
	export Q2_BIN=$dir/bin
	try fail bash "$abs_top_srcdir/tests/qcow2/fail.sh"
	try oracle bash "$abs_top_srcdir/tests/qcow2/oracle.sh"
}

for machine in $CROSS; do
	dir=$abs_top_builddir/tests/cross/$machine
	rm -rf "$dir"
	mkdir -p "$dir" || exit 99
	if [[ $(uname -m) != x86_64 ]]; then
		skip 'the cross compilers are for x86_64'
		continue
	fi
	if [[ -e $abs_top_srcdir/config.status ]]; then
		skip 'the source tree itself is configured; build elsewhere'
		continue
	fi
	case $machine in
	musl) prepare_musl ;;
	i386) prepare_emulated i686-linux-gnu i386-linux-gnu i386 ;;
	s390x) prepare_emulated s390x-linux-gnu s390x-linux-gnu s390x ;;
	arm64) prepare_emulated aarch64-linux-gnu aarch64-linux-gnu aarch64 ;;
	armhf) prepare_emulated arm-linux-gnueabihf arm-linux-gnueabihf arm ;;
	*) fail 'none of musl, i386, s390x, arm64, armhf' && false ;;
	esac && build && ((++built)) && test_it
done
printf '%s passed, %s failed, %s skipped\n' $passed $failed $skipped
((failed == 0)) || exit 1
((passed > 0 || built > 0)) || exit 77
