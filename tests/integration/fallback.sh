# Machines that deny io_uring, or a part of it: auto goes on with /dev/fuse and
# says why in one line; on refuses with the same line. The data path works in
# each. This test changes parameters of the kernel, and restores them.
SHARE=-x
. "$abs_top_srcdir/tests/integration/lib.sh"

image=$dir/disk.img
file=$dir/disk.raw
DISABLED=/proc/sys/kernel/io_uring_disabled

# A short session of everything.
use_it() {
	expect 5000 fileop "$file" pwrite 100 5000 1
	expect 512 fileop -d "$file" pwrite 8192 512 2
	expect yes fileop "$file" is 100 5000 1
	expect 0 fileop "$file" punch 3000 1000
	expect 0 fileop "$file" zero 70000 1000
	expect 0 fileop "$file" allocate 0 65536
	[[ $(fileop "$file" data 0) =~ ^[0-9]+$ ]] || fail "no SEEK_DATA"
	expect EPERM fileop "$file" truncate 999999
	expect 0 fileop "$file" cut 0
	expect yes fileop "$file" is 0 1048576 0
	expect 0 fileop "$file" fsync
	"$helpers/model" run $model_options -s 7 -n 300 -m 1048576 "$file" "$dir/copy" ||
		fail "the model"
}

# falls_back WHY OPTION...: under RUN.
falls_back() {
	local why=$1 said refused
	shift
	make_image disk.img 1M
	transport=auto
	mount_rawfuse "$@" "$image" "$file"
	after_mount
	report
	grep -q 'transport: dev_fuse' "$dir/report" || fail "$why: not by /dev/fuse"
	use_it
	succeed umount "$file"
	wait_daemon 0
	cmp "$image" "$dir/copy" || fail "$why: the image is not the model"
	said=$(grep -vE "$REPORT" "$log")
	[[ $said =~ ^rawfuse:\ io_uring:\ .*$why && $said != *$'\n'* ]] ||
		fail "auto said '$said', not '$why'"
	before_mount
	"${RUN[@]}" timeout 20 "$RAWFUSE" --io-uring=on "$@" "$image" "$file" >"$dir/out" 2>"$dir/err"
	[[ $? == 1 ]] || fail "on did not end with 1: $(<"$dir/err")"
	after_mount
	refused=$(<"$dir/err")
	[[ $refused =~ ^rawfuse:\ io_uring:\ .*$why.*refused && $refused != *$'\n'* ]] ||
		fail "on said '$refused', not '$why'"
	[[ ${refused%: refused*} == "${said%: requests go*}" ]] ||
		fail "on and auto give reasons of their own: '$said', '$refused'"
	no_mounts || fail "on left a mount"
	wait_until "no process is left" no_processes
	[[ ! -e $file ]] || fail "on left its mountpoint"
	# And off does not try: no word.
	before_mount
	transport=off
	mount_rawfuse "$@" "$image" "$file"
	after_mount
	use_it
	succeed umount "$file"
	wait_daemon 0
	OFF_SAID=$(grep -vE "$REPORT" "$log")
	RUN=(env)
}
before_mount() { :; }
after_mount() { :; }

parameter_off() {
	before_mount() { echo N >"$URING_PARAMETER"; }
	after_mount() { echo "$was" >"$URING_PARAMETER"; }
	was=$(<"$URING_PARAMETER")
	before_mount
	falls_back 'enable_uring is off'
	# What --probe proposes helps.
	before_mount
	"$RAWFUSE" --probe >"$dir/out"
	bash -c "$(sed -n 's/^    \(echo .*enable_uring\)$/\1/p' "$dir/out")"
	uring_enabled || fail "--probe says: $(<"$dir/out")"
	[[ -z $OFF_SAID ]] || fail "off said '$OFF_SAID'"
	# Who insists on what /dev/fuse cannot tell is refused.
	before_mount
	transport=auto
	start_rawfuse --cpu=follow "$image" "$file"
	wait_daemon 1
	after_mount
	check_log 'cpu=follow: '
	before_mount() { :; }
	after_mount() { :; }
}

sysctl_set() {
	was=$(<"$DISABLED")
	before_mount() { echo 2 >"$DISABLED"; }
	after_mount() { echo "$was" >"$DISABLED"; }
	before_mount
	falls_back 'kernel.io_uring_disabled'
	before_mount() { :; }
	after_mount() { :; }
}

denied() {
	local errno
	for errno in EPERM ENOSYS; do
		RUN=("$helpers/deny" $errno io_uring_setup)
		falls_back "io_uring_setup.*seccomp"
		RUN=(env)
	done
	RUN=("$helpers/deny" EPERM io_uring_register)
	falls_back "io_uring"
	RUN=(env)
}

# Few files, little locked memory: it works, or says what is missing.
limits() {
	local n status
	make_image disk.img 1M
	transport=auto
	for n in 5 6 7 8 9 10 11 12 16 24 64; do
		RUN=(prlimit --nofile="$n:$n")
		start_rawfuse "$image" "$file"
		wait_until "rawfuse with $n files is ready, or has ended" is_ready_or_gone
		if is_gone "$daemon"; then
			wait "$daemon"
			status=$?
			((status == 1 || status == 127)) || fail "with $n files: ended with $status"
			[[ $(wc -l <"$log") == [12] ]] || fail "with $n files: $(<"$log")"
			no_mounts || fail "with $n files: left a mount"
			[[ ! -e $file ]] || fail "with $n files: left its mountpoint"
		else
			use_it
			succeed umount "$file"
			wait_daemon 0
			cmp "$image" "$dir/copy" || fail "$n files: not the model"
		fi
	done
	is_gone "$daemon" && [[ -s $log ]] && say "with $n files: $(head -n 1 "$log")"
	# Memory limits do not apply to root, but must not harm.
	RUN=(prlimit --memlock=65536:65536)
	transport=on
	mount_rawfuse "$image" "$file"
	use_it
	unmount_rawfuse "$file"
	RUN=(env)
}

require_tool prlimit cmp
uring_enabled || skip "fuse.enable_uring is not Y"
restores+=("echo $(<"$URING_PARAMETER") >$URING_PARAMETER")
[[ ! -w $DISABLED ]] || restores+=("echo $(<"$DISABLED") >$DISABLED")
parameter_off
denied
if [[ -w $DISABLED ]]; then
	sysctl_set
else
	skip_part "no kernel.io_uring_disabled"
fi
limits
finish
