#!/bin/bash
# fuzz.sh DIRECTORY [SECONDS]: runs the libFuzzer targets in DIRECTORY, each
# that long, from seeds made by qemu-img and those in the tree. What it finds
# lies in DIRECTORY/found; FUZZER FILE repeats it (Q2_FUZZ_IMAGES as printed).
set -u
cd "$(dirname "$0")" && here=$PWD && cd - >/dev/null || exit 99
build=$(cd "$1" && pwd) || exit 99
seconds=${2:-60}
status=0
mkdir -p "$build/images" "$build/found" "$build/corpus.fuzz_open" \
	"$build/corpus.fuzz_requests"
cp "$here"/seeds/*.qcow2 "$build/images" || exit 99
if command -v qemu-img >/dev/null && command -v qemu-io >/dev/null; then
	bash "$here/seeds.sh" "$build/images" || exit 99
fi
export Q2_FUZZ_IMAGES=$build/images
export ASAN_OPTIONS=quarantine_size_mb=16
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
echo "Q2_FUZZ_IMAGES=$Q2_FUZZ_IMAGES"
for target in fuzz_open fuzz_requests; do
	seeds=$here/requests
	len=512
	if [ $target = fuzz_open ]; then
		seeds=$build/images
		len=131072
	fi
	"$build/$target" -max_total_time="$seconds" -timeout=10 \
		-rss_limit_mb=512 -malloc_limit_mb=256 -close_fd_mask=3 \
		-max_len=$len -artifact_prefix="$build/found/$target-" \
		-print_final_stats=1 "$build/corpus.$target" "$seeds" \
		>"$build/$target.log" 2>&1
	rc=$?
	echo "$target: exit $rc," \
		"$(grep -E 'number_of_executed_units' "$build/$target.log" |
			tr -s ' ')" \
		"$(grep -Eo 'cov: [0-9]+' "$build/$target.log" | tail -n 1)"
	if [ $rc != 0 ]; then
		status=1
		grep -E 'ERROR|SUMMARY|runtime error|Test unit|hangs|sound' \
			"$build/$target.log" | head -n 10
	fi
done
exit $status
