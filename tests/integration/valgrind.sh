# The daemon under valgrind for a short session: no errors, no leaks.
#
# AddressSanitizer finds more, faster: configure with
#	CFLAGS='-g -O1 -fsanitize=address,undefined' 
# and run make check; the sanitizers' reports go to the daemons' logs, which
# the tests want to be silent, and make the exit status wrong.
TRIES=6000
. "$abs_top_srcdir/tests/integration/lib.sh"

image=$dir/disk.img
file=$dir/disk.raw

check_valgrind() {
	local report
	for report in "$dir"/valgrind.*; do
		[[ ! -s $report ]] ||
			fail "valgrind: $(cat "$report")"
	done
	rm -f "$dir"/valgrind.*
}

session() {
	local cache=host
	[[ $transport == off ]] || cache=direct
	make_image disk.img 1000001
	mount_rawfuse --cache=$cache -o queue_depth=8,growable "$image" "$file"
	"$helpers/model" run -g -s 3 -n "${MODEL_OPERATIONS:-300}" -m 1100000 "$file" "$dir/copy" ||
		fail "the model"
	report
	unmount_rawfuse "$file"
	succeed cmp "$image" "$dir/copy"
	check_valgrind
	# Another end: aborted while a file is open. (Not by a signal: valgrind
	# takes minutes for the close_range() of the child that unmounts.)
	mount_rawfuse null:size=1M "$file"
	exec {busy}<>"$file"
	umount -f "$file" 2>/dev/null
	wait_daemon 0
	exec {busy}>&-
	is_mounted "$file" && succeed umount "$file"
	rm -f "$file"
	check_valgrind
	start_rawfuse "$dir/none" "$file"
	wait_daemon 1
	check_valgrind
}

require_tool valgrind cmp
# An exit status of its own for errors; the program needs SQE128 and the like,
# which old valgrinds do not know.
RUN=(valgrind -q --log-file="$dir/valgrind.%p" --leak-check=full
	--show-leak-kinds=all --errors-for-leak-kinds=all --error-exitcode=88
	--track-fds=no --child-silent-after-fork=yes)
"${RUN[@]}" "$RAWFUSE" --version >/dev/null || skip "valgrind cannot run rawfuse"
check_valgrind
each_transport session
finish
