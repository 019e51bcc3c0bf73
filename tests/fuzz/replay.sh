#!/bin/bash
# The fuzz targets without libFuzzer: the seeds in the tree, each also with
# some hundred seeded mutations.
set -u
cd "$(dirname "$0")" && here=$PWD && cd - >/dev/null || exit 99
bin=${Q2_FUZZ_BIN:-tests/fuzz}
export Q2_FUZZ_IMAGES=$here/seeds
n=${Q2_MUTATIONS:-400}
log=$(mktemp) || exit 99
trap 'rm -f "$log"' EXIT
for target in open requests; do
	seeds=$here/seeds
	[ $target = requests ] && seeds=$here/requests
	if ! timeout 300 "$bin/replay_$target" "-$n" "$seeds" 2>"$log"; then
		echo "FAIL: replay_$target -$n $seeds"
		grep -v '^rawfuse: ' "$log" | tail -n 25
		exit 1
	fi
done
