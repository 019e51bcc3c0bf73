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

make_dir() {
	dir=$(mktemp -d "${TMPDIR:-/tmp}/q2.XXXXXX") || exit 99
	if [ -z "${Q2_KEEP:-}" ]; then
		trap 'rm -rf "$dir"' EXIT
	fi
}

qio() {
	qemu-io "$@" >/dev/null
}
