# Other users: --allow-other, chmod and chown, access; and a mount by one who
# may not mount, through fusermount3.
. "$abs_top_srcdir/tests/integration/lib.sh"

image=$dir/disk.img
file=$dir/disk.raw
USER1=65534
USER2=65533

as() {
	local id=$1
	shift
	setpriv --reuid "$id" --regid "$id" --clear-groups "$@"
}

modes_and_owners() {
	make_image disk.img 1M
	cp "$image" "$dir/copy"
	local how
	for how in --allow-other=on --allow-other=auto "-o allow_other"; do
		mount_rawfuse $how "$image" "$file"
		# Others are let in, but the mode keeps them out.
		expect EACCES as $USER1 "$helpers/fileop" -r "$file" open
		succeed chmod 604 "$file"
		expect 604 stat -c %a "$file"
		succeed as $USER1 cmp "$dir/copy" "$file"
		expect EACCES as $USER1 "$helpers/fileop" "$file" open
		succeed chmod 640 "$file"
		succeed chown 0:$USER1 "$file"
		succeed as $USER1 cmp "$dir/copy" "$file"
		expect EACCES as $USER2 "$helpers/fileop" -r "$file" open
		succeed chown $USER1 "$file"
		expect "$USER1:$USER1" stat -c %u:%g "$file"
		expect 3 as $USER1 "$helpers/fileop" "$file" pwrite 10 3 0
		expect 3 fileop "$dir/copy" pwrite 10 3 0
		expect 0 as $USER1 "$helpers/fileop" "$file" fsync
		# The owner may change the mode, others and the owner may not.
		succeed as $USER1 chmod 600 "$file"
		as $USER2 chmod 666 "$file" 2>/dev/null && fail "another may chmod"
		as $USER1 chown $USER2 "$file" 2>/dev/null && fail "the owner may chown"
		expect 600 stat -c %a "$file"
		# Times are accepted.
		succeed touch -d @1000000000 "$file"
		expect 1000000000 stat -c %Y "$file"
		succeed chown 0:0 "$file"
		unmount_rawfuse "$file"
		succeed cmp "$image" "$dir/copy"
		# Nothing of that was done to the image.
		expect 644:0:0 stat -c %a:%u:%g "$image"
	done
}

has_mode() { [[ $(stat -c %a "$file") == "$1" ]]; }

# Writing takes set-user-ID away.
set_user_id() {
	mount_rawfuse --allow-other=on "$image" "$file"
	succeed chmod 6777 "$file"
	expect 6777 stat -c %a "$file"
	expect 1 as $USER1 "$helpers/fileop" "$file" pwrite 0 1
	wait_until "the bits are gone" has_mode 777
	unmount_rawfuse "$file"
}

nobody_else() {
	mount_rawfuse --allow-other=off "$image" "$file"
	expect EACCES as $USER1 "$helpers/fileop" -r "$file" open
	chmod 644 "$file" 2>/dev/null && fail "chmod for those who are not let in"
	succeed chmod 600 "$file"
	succeed chmod 400 "$file"
	chown $USER1 "$file" 2>/dev/null && fail "chown to one who is not let in"
	unmount_rawfuse "$file"
}

read_only_modes() {
	mount_rawfuse -r --allow-other=on "$image" "$file"
	expect 400 stat -c %a "$file"
	expect EACCES as $USER1 "$helpers/fileop" -r "$file" open
	# It can be opened to others, for reading.
	succeed chmod 444 "$file"
	succeed as $USER1 cmp "$image" "$file"
	expect EACCES as $USER1 "$helpers/fileop" "$file" open
	succeed chmod 555 "$file"
	chmod 644 "$file" 2>"$dir/err" && fail "chmod 644 on a read-only export"
	grep -q 'Read-only file system' "$dir/err" || fail "chmod said: $(<"$dir/err")"
	succeed chown $USER1 "$file"
	expect EROFS fileop "$file" open
	expect EROFS fileop "$file" cut 0
	expect 555 stat -c %a "$file"
	unmount_rawfuse "$file"
}

# One without privileges, through fusermount3 (set-user-ID root).
unprivileged() {
	local theirs=$dir/theirs mode others
	mode=$(stat -Lc %a /dev/fuse)
	mkdir -p "$theirs"
	cp "$image" "$theirs/disk.img"
	rm -f "$theirs/disk.raw"
	chown -R $USER1:$USER1 "$theirs"
	if ((mode % 10 < 6)); then
		restores+=("chmod $mode /dev/fuse")
		chmod 666 /dev/fuse
	fi
	RUN=(setpriv --reuid $USER1 --regid $USER1 --clear-groups)
	# A user namespace is enough to ask the kernel.
	if "${RUN[@]}" unshare -Urm true 2>/dev/null; then
		"${RUN[@]}" "$RAWFUSE" --probe >"$dir/out" || fail "--probe failed"
		grep -q '^FUSE ABI *7' "$dir/out" || fail "--probe: $(<"$dir/out")"
	else
		skip_part "--probe of a user: no user namespaces"
	fi
	start_theirs "$theirs/disk.img" "$theirs/disk.raw"
	expect fuse.rawfuse findmnt -n -o FSTYPE --mountpoint "$theirs/disk.raw"
	[[ $(connection_of "$theirs/disk.raw") == [0-9]* ]] || fail "not mounted"
	succeed as $USER1 cmp "$image" "$theirs/disk.raw"
	expect 600 as $USER1 stat -c %a "$theirs/disk.raw"
	expect "$USER1" as $USER1 stat -c %u "$theirs/disk.raw"
	expect 3 as $USER1 "$helpers/fileop" "$theirs/disk.raw" pwrite 100 3 7
	expect EACCES as $USER2 "$helpers/fileop" -r "$theirs/disk.raw" open
	succeed as $USER1 fusermount3 -u "$theirs/disk.raw"
	wait_until "it has ended" is_gone "$daemon"
	succeed wait "$daemon"
	[[ ! -e $theirs/disk.raw ]] || fail "the mountpoint is left after fusermount3 -u"
	expect yes fileop "$theirs/disk.img" is 100 3 7
	# SIGTERM: it unmounts by itself.
	start_theirs -r "$theirs/disk.img" "$theirs/disk.raw"
	expect EACCES as $USER1 "$helpers/fileop" "$theirs/disk.raw" pwrite 0 1
	kill "$daemon"
	wait_until "it has ended" is_gone "$daemon"
	succeed wait "$daemon"
	no_mounts || fail "SIGTERM left a mount"
	# Busy, and no way to abort: it ends all the same, and lets go.
	rm -f "$dir/open"
	start_theirs --grace=0 "$theirs/disk.img" "$theirs/disk.raw"
	setpriv --reuid $USER1 --regid $USER1 --clear-groups bash -c 'exec 9<>"$1"; echo open; exec sleep 300' open "$theirs/disk.raw" \
		>"$dir/open" {machine_lock}<&- &
	holder=$!
	wait_until "it is open" test -s "$dir/open"
	kill "$daemon"
	wait_until "it has ended" is_gone "$daemon"
	no_mounts || fail "SIGTERM left a mount"
	[[ ! -e $theirs/disk.raw ]] || fail "the mountpoint is left by SIGTERM"
	kill -9 "$holder"
	wait "$holder" 2>/dev/null
	# Letting others in takes user_allow_other.
	others=$(grep -s '^ *user_allow_other' /etc/fuse.conf)
	if [[ -z $others ]]; then
		# Without it root is kept out as well, and the log says so.
		start_theirs "$theirs/disk.img" "$theirs/disk.raw"
		expect EACCES fileop -r "$theirs/disk.raw" open
		losetup -f "$theirs/disk.raw" 2>/dev/null && fail "root has access"
		wait_until "the log says why" grep -q "root, .* gets EACCES; user_allow_other" "$log"
		succeed as $USER1 fusermount3 -u "$theirs/disk.raw"
		wait_until "it has ended" is_gone "$daemon"
		"${RUN[@]}" "$RAWFUSE" --allow-other=on --io-uring="$transport" \
			"$theirs/disk.img" "$theirs/disk.raw" 2>"$dir/err" &&
			fail "allow-other without user_allow_other"
		grep -q 'rawfuse:.*user_allow_other' "$dir/err" ||
			fail "said: $(<"$dir/err")"
		wait_until "no process is left" no_processes
		[[ ! -e $theirs/disk.raw ]] || fail "the mountpoint is left by a refusal"
	fi
	RUN=(env)
	rm -r "$theirs"
}

start_theirs() {
	log=$dir/log
	: >"$log"
	"${RUN[@]}" "$RAWFUSE" -f --io-uring="$transport" --pidfile="$dir/theirs/pid" "$@" \
		>>"$log" 2>&1 {machine_lock}<&- &
	daemon=$!
	daemons+=("$daemon")
	wait_until "it is ready" theirs_ready
	is_gone "$daemon" && fail "it ended with $(wait "$daemon"; say $?)"
	check_transport
}
theirs_ready() { [[ -s $dir/theirs/pid ]] || is_gone "$daemon"; }

require_tool setpriv findmnt cmp
each_transport modes_and_owners
each_transport set_user_id
each_transport nobody_else
each_transport read_only_modes
if have_tool fusermount3 && [[ -u $(command -v fusermount3) ]]; then
	each_transport unprivileged
else
	skip_part "no fusermount3 that is set-user-ID root"
fi
finish
