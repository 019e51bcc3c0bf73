# --passthrough: the kernel itself reads and writes the image, where the rules
# of size, locks and read-only still hold; else it is refused or not done.
. "$abs_top_srcdir/tests/integration/lib.sh"

image=$dir/disk.img
file=$dir/disk.raw

passes() {
	report
	grep -q ' passthrough=yes' "$dir/report"
}
requests() {
	report
	sed -n "s/.* $1=\([0-9]*\).*/\1/p" "$dir/report"
}
flushes() { report && sed -n 's/.* flush=\([0-9]*\).*/\1/p' "$dir/report"; }
mtime() { stat -c %Y "$1"; }

# refused REASON ARGUMENT...
refused() {
	local why=$1
	shift
	start_rawfuse "$@"
	wait_daemon 1
	check_log "$why"
	(($(wc -l <"$log") == 1)) || fail "more than one line: $(<"$log")"
	no_mounts || fail "it is mounted"
	rm -f "$file"
}

reading() {
	local mode
	make_image disk.img 3000001
	for mode in on auto; do
		mount_rawfuse -r --passthrough=$mode "$image" "$file"
		passes || fail "passthrough=$mode is not followed"
		succeed cmp "$image" "$file"
		expect 3000001 stat -c %s "$file"
		expect 4096 fileop -r -d "$file" pread 0 4096
		expect 1 fileop -r "$file" pread 3000000 10
		expect EROFS fileop "$file" pwrite 0 1
		[[ -z $(requests READ) ]] || fail "READ requests came"
		unmount_rawfuse "$file"
	done
	# Over the image itself.
	cp "$image" "$dir/copy"
	mount_rawfuse -r --passthrough=on "$image" "$image"
	succeed cmp "$image" "$dir/copy"
	unmount_rawfuse "$image"
	# Without O_DIRECT on the image: one copy in memory, the image's.
	mount_rawfuse -r --passthrough=on "$image" "$file"
	cat "$file" >/dev/null
	expect 733 fileop -r "$image" cached
	unmount_rawfuse "$file"
}

writing() {
	make_image disk.img 1000001
	cp "$image" "$dir/copy"
	mount_rawfuse --passthrough=on --growable "$image" "$file"
	passes || fail "it is not followed"
	exec {held}<>"$file"
	expect 5000 fileop "$file" pwrite 999999 5000 1
	expect 1004999 stat -c %s "$file"
	expect 100 fileop "$file" map 12345 100 2
	expect yes fileop "$file" is 12345 100 2
	expect 0 fileop "$file" punch 1004000 4096
	expect 1004999 stat -c %s "$file"
	expect yes fileop "$file" is 1004000 999 0
	expect 0 fileop "$file" allocate 2000000 5
	expect 2000005 stat -c %s "$file"
	expect 0 fileop "$file" truncate 1500000
	expect 1500000 stat -c %s "$image"
	[[ -z $(requests READ)$(requests WRITE) ]] || fail "requests came"
	exec {held}>&-
	# A time set by hand holds until the next write.
	succeed touch -d 2020-02-02 "$file"
	expect "$(date -d 2020-02-02 +%s)" mtime "$file"
	expect 1 fileop "$file" pwrite 0 1 3
	(($(mtime "$file") > $(date -d 2021-01-01 +%s))) || fail "the time stands still"
	unmount_rawfuse "$file"
	expect 1500000 stat -c %s "$image"
	# O_TRUNC counts, as ever with --growable.
	mount_rawfuse --passthrough=on --growable "$image" "$file"
	succeed cp "$dir/copy" "$file"
	expect 1000001 stat -c %s "$file"
	unmount_rawfuse "$file"
	succeed cmp "$image" "$dir/copy"
}

models() {
	local seed
	for seed in ${MODEL_SEEDS:-41 42}; do
		make_image disk.img 1234567
		mount_rawfuse --passthrough=on --growable "$image" "$file"
		"$helpers/model" run -bg -s "$seed" -n "${MODEL_OPERATIONS:-1000}" \
			-m 3000000 "$file" "$dir/copy" || fail "seed $seed"
		unmount_rawfuse "$file"
		succeed cmp "$image" "$dir/copy"
	done
}

# The block layer has seen no write and must flush all the same.
flushing() {
	local n
	make_image disk.img 1M
	mount_rawfuse --passthrough=on --growable "$image" "$file"
	expect 0 fileop "$file" fsync
	n=$(flushes)
	expect 0 fileop "$file" fsync
	(($(flushes) > n)) || fail "fsync was not passed on"
	unmount_rawfuse "$file"
}

# What cannot keep the rules.
refusals() {
	make_image disk.img 1M
	refused 'takes --read-only or --growable' --passthrough=on "$image" "$file"
	refused 'raw image in a regular file' --passthrough=on null: "$file"
	if unshare -rm true 2>/dev/null; then
		RUN=(env unshare -rm)
		refused 'CAP_SYS_ADMIN' --passthrough=on -r "$image" "$file"
		RUN=(env)
	else
		skip_part "passthrough without CAP_SYS_ADMIN: no user namespaces"
	fi
}

# auto: only where nothing changes, and without a word.
auto() {
	make_image disk.img 1M
	mount_rawfuse --passthrough=auto "$image" "$file"
	passes && fail "a writable image of fixed size is passed through"
	expect ENOSPC fileop "$file" pwrite 1048576 1
	unmount_rawfuse "$file"
	mount_rawfuse --passthrough=auto --growable "$image" "$file"
	passes && fail "a writable image is passed through"
	unmount_rawfuse "$file"
	mount_rawfuse --passthrough=auto -r null: "$file"
	passes && fail "null is passed through"
	unmount_rawfuse "$file"
	mount_rawfuse -r "$image" "$file"
	passes && fail "it is not off"
	unmount_rawfuse "$file"
}

# Open files go on after the daemon; its locks stay as long.
locked() {
	make_image disk.img 1M
	mount_rawfuse --passthrough=on --growable --grace=0 "$image" "$file"
	exec {held}<>"$file"
	kill "$daemon"
	wait_daemon 0
	check_log 'aborting'
	printf hello >&"$held"
	refused 'lock: another program' "$image" "$file"
	exec {held}>&-
	mount_rawfuse "$image" "$file"
	expect hello head -c 5 "$file"
	unmount_rawfuse "$file"
}

require_tool cmp
"$RAWFUSE" --probe >"$dir/probe"
grep -q '^FUSE passthrough *yes' "$dir/probe" || skip "the kernel has no FUSE_PASSTHROUGH"
each_transport reading
each_transport writing
each_transport models
each_transport flushing
each_transport refusals
each_transport auto
each_transport locked
finish
