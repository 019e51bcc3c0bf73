# Runs in the machine, by init: the tests of /vm/plan, two at a time. Its output
# is what run.sh reads:
#
#	@start MODE TEST
#	@log MODE TEST A line of a test that failed
#	@end MODE TEST PASS|FAIL|SKIP SECONDS WHY
#	@done
#
# /vm/plan has a line for each: MODE, TEST, a time limit in seconds, and the
# settings, separated by tabs. /vm/alarm is a pattern of lines that a healthy
# kernel does not log.
export abs_top_srcdir=/vm/src abs_top_builddir=/vm/build TMPDIR=/disk HOME=/tmp
export CK_VERBOSITY=normal LC_ALL=C
alarm=$(</vm/alarm)

alarms() { dmesg | grep -cE -- "$alarm"; }

path_of() {
	if [[ $1 == unit ]]; then
		echo "$abs_top_builddir/tests/unit/unit"
	elif [[ -e $abs_top_srcdir/tests/vm/$1.sh ]]; then
		echo "bash $abs_top_srcdir/tests/vm/$1.sh"
	else
		echo "bash $abs_top_srcdir/tests/integration/$1.sh"
	fi
}

# one MODE TEST LIMIT SETTINGS
one() {
	local before result why='' status began=$SECONDS log=/tmp/$1.$2
	echo "@start $1 $2"
	before=$(alarms)
	(
		cd /disk || exit
		eval "export $4"
		exec timeout -k 10 "$3" $(path_of "$2")
	) >"$log" 2>&1 </dev/null
	status=$?
	case $status in
	0) result=PASS ;;
	77) result=SKIP why=$(grep SKIP "$log" | tail -n 1) ;;
	124 | 137) result=FAIL why="took more than $3 s" ;;
	*) result=FAIL why="ended with $status" ;;
	esac
	if (($(alarms) != before)); then
		result=FAIL
		why+=" the kernel complained"
		dmesg | grep -E -A 25 -- "$alarm" | head -n 80 >>"$log"
	fi
	{
		flock 8
		[[ $result != FAIL ]] || tail -n 120 "$log" | sed "s/^/@log $1 $2 /"
		sed -n "s/^vm: /@log $1 $2 /p" "$log"
		echo "@end $1 $2 $result $((SECONDS - began)) $why"
	} 8>/tmp/output
}

# Both lanes read the same description of the plan, a line at a time.
lane() {
	local mode test limit settings
	while flock 7 && IFS=$'\t' read -r mode test limit settings <&3; do
		flock -u 7
		one "$mode" "$test" "$limit" "$settings" 3<&- 7<&-
	done 7>/tmp/lane
}

# Not bash's read ahead, but a line at a time: a pipe is read bytewise.
exec 3< <(cat /vm/plan)
lane 1 &
lane 2
wait %1
echo @done
