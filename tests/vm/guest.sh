# Runs in the machine, by init: the tests of /vm/plan, one after the other. Its
# output is what run.sh reads:
#
#	@start MODE TEST
#	@end MODE TEST PASS|FAIL|SKIP SECONDS WHY
#	@done
#
# and, with two spaces before them, a test's own lines.
#
# /vm/plan has a line for each: MODE, TEST, a time limit in seconds, and the
# settings, separated by tabs. /vm/alarm is a pattern of lines that a healthy
# kernel does not log.
export abs_top_srcdir=/vm/src abs_top_builddir=/vm/build TMPDIR=/disk HOME=/tmp
export CK_VERBOSITY=normal LC_ALL=C
alarm=$(</vm/alarm)
log=/tmp/log

alarms() { dmesg | grep -cE -- "$alarm"; }
indented() { sed 's/^/  /' "$@"; }

path_of() {
	case $1 in
	unit) echo "$abs_top_builddir/tests/unit/unit" ;;
	cpus) echo "bash $abs_top_srcdir/tests/vm/$1.sh" ;;
	*) echo "bash $abs_top_srcdir/tests/integration/$1.sh" ;;
	esac
}

# one MODE TEST LIMIT SETTINGS
one() {
	local before result why='' status began=$SECONDS
	echo "@start $1 $2"
	before=$(alarms)
	(
		cd /disk || exit
		eval "export $4"
		exec timeout -k 10 "$3" $(path_of "$2")
	) >$log 2>&1 </dev/null
	status=$?
	case $status in
	0) result=PASS ;;
	77) result=SKIP why=$(tail -n 1 $log) ;;
	124 | 137) result=FAIL why="took more than $3 s" ;;
	*) result=FAIL why="ended with $status" ;;
	esac
	if (($(alarms) != before)); then
		result=FAIL
		why+=" the kernel complained"
		dmesg | grep -E -A 25 -- "$alarm" | tail -n +1 | head -n 80 >>$log
	fi
	[[ $result != FAIL ]] || indented <(tail -n 120 $log)
	[[ $2 != cpus ]] || grep '^cpus: ' $log
	echo "@end $1 $2 $result $((SECONDS - began)) $why"
}

while IFS=$'\t' read -r mode test limit settings <&3; do
	one "$mode" "$test" "$limit" "$settings"
done 3</vm/plan
echo @done
