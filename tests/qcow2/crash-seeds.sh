#!/bin/bash
# Crash points of many seeds, one after another, a million each: hours. One
# line a seed, and what failed; the last line has the sums.
#
#   Q2_SEEDS=N    so many (10)       Q2_SEED=N   the first of them (1)
#   Q2_POINTS=N   of each, about     Q2_JOBS=N   processes
set -u
here=$(cd "$(dirname "$0")" && pwd) || exit 99
first=${Q2_SEED:-1}
seeds=${Q2_SEEDS:-10}
export Q2_POINTS=${Q2_POINTS:-1000000}
points=0 failed=0 done=0

for seed in $(seq "$first" $((first + seeds - 1))); do
	began=$SECONDS
	out=$(Q2_SEED=$seed "$here/crash.sh")
	rc=$?
	if [ $rc = 77 ]; then
		printf '%s\n' "$out"
		exit 77
	fi
	printf '%s\n' "$out" | sed '$d'
	last=${out##*$'\n'}
	echo "seed $seed: $last ($((SECONDS - began)) s)"
	n=${last%% *}
	case $n in
	'' | *[!0-9]*) n=0 ;;
	esac
	points=$((points + n)) done=$((done + 1))
	[ $rc = 0 ] || failed=$((failed + 1))
done
echo "$points crash points of $done seeds without error, $failed seeds failed"
[ $failed = 0 ] && [ $points -gt 0 ]
