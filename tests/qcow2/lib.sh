# For the shell tests of qcow2: what they need, and where things are.
# shellcheck shell=bash

skip() {
	echo "SKIP: $*"
	exit 77
}

need() {
	local tool
	for tool; do
		command -v "$tool" >/dev/null 2>&1 || skip "$tool is missing"
	done
}

# The programs lie beside the build tree's Makefile, where tests are run.
bin=${Q2_BIN:-tests/qcow2}
case $bin in
/*) ;;
*) bin=$PWD/$bin ;;
esac
[ -x "$bin/q2test" ] || skip "$bin/q2test is missing: run 'make check'"

# In memory if there is room: what is tested is not the host's fdatasync.
make_dir() {
	local at=/dev/shm free
	free=$(df -Pk $at 2>/dev/null | awk 'NR == 2 { print $4 }')
	[ "${free:-0}" -gt 2000000 ] && [ -w $at ] || at=/tmp
	dir=$(mktemp -d "${TMPDIR:-$at}/q2.XXXXXX") || exit 99
	if [ -z "${Q2_KEEP:-}" ]; then
		trap 'rm -rf "$dir"' EXIT
	fi
}

qio() {
	qemu-io "$@" >/dev/null
}
