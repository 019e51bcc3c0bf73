# --probe: exit status 0 only if a mount works, and the transport that an export
# then uses.
. "$abs_top_srcdir/tests/integration/lib.sh"

USER1=65534
as_other() { setpriv --reuid $USER1 --regid $USER1 --clear-groups "$@"; }

# probe STATUS COMMAND...: under COMMAND; says $dir/out, leaves nothing. It mounts
# for trial in a directory of ours: others may mount and probe meanwhile.
probe() {
	local want=$1 got left first rest
	shift
	XDG_RUNTIME_DIR=$dir/r "$@" "$RAWFUSE" --probe >"$dir/out" 2>"$dir/err"
	got=$?
	((got == want)) || fail "--probe ended with $got, not $want: $(<"$dir/out")"
	[[ ! -s $dir/err ]] || fail "--probe said $(<"$dir/err")"
	! grep -E '^.{81}' "$dir/out" || fail "--probe is wider than 80 columns"
	# What may be pasted is a command.
	while read -r first rest; do
		have_tool "$first" && bash -nc "$first $rest" ||
			fail "--probe proposes '$first $rest'"
	done < <(sed -n 's/^    \([^ ]\)/\1/p' "$dir/out")
	no_mounts || fail "--probe left a mount: $(our_mounts)"
	for left in "$dir"/r/*; do fail "--probe left $left"; done
}

says() { grep -qE "$1" "$dir/out" || fail "--probe did not say '$1': $(<"$dir/out")"; }

# transport_is COMMAND...: what was told is what an export does.
transport_is() {
	local name=io_uring
	make_image disk.img 1M
	transport=auto
	RUN=("$@")
	mount_rawfuse "$dir/disk.img" "$dir/disk.raw"
	RUN=(env)
	report
	grep -q "transport: dev_fuse" "$dir/report" && name=/dev/fuse
	says "^transport +$name"
	succeed umount "$dir/disk.raw"
	wait_daemon 0
}

as_root() {
	probe 0 env
	says '^mount +yes$'
	transport_is env
	probe 0 "$helpers/deny" EPERM io_uring_setup
	says '^transport +/dev/fuse'
	says 'seccomp'
	transport_is "$helpers/deny" EPERM io_uring_setup
	probe 0 "$helpers/deny" EPERM io_uring_register
	transport_is "$helpers/deny" EPERM io_uring_register
}

# In the caller's mount namespace of its own: with something else at /dev/fuse,
# and without /sys.
apart() { unshare -m bash -c "$1"' && exec "${@:1}"' - "${@:2}"; }

something_else() {
	: >"$dir/plain"
	mkdir "$dir/dir"
	probe 1 apart "mount --bind '$dir/plain' /dev/fuse"
	says '^/dev/fuse +no$'
	says 'it is not the FUSE device'
	says '^    rm /dev/fuse && mknod -m 666 /dev/fuse c 10 229$'
	says '^transport +none'
	make_image disk.img 1M
	apart "mount --bind '$dir/plain' /dev/fuse" "$RAWFUSE" "$dir/disk.img" "$dir/disk.raw" \
		2>"$dir/err" && fail "it mounted"
	expect "rawfuse: /dev/fuse: it is not the FUSE device (a character device 10:229); rawfuse --probe shows what to do" \
		cat "$dir/err"
	# The kernel is asked all the same.
	probe 0 apart "mount --bind '$dir/dir' /sys"
	! grep -q 'this kernel has no FUSE' "$dir/out" || fail "--probe said: $(<"$dir/out")"
	uring_enabled || says 'the cause is not known'
	# The mount fails and so nothing is known.
	probe 1 apart "mount --bind '$dir/dir' /sys && mount --bind '$dir/plain' /dev/fuse"
	says '^FUSE over io_uring +unknown$'
	says 'not known, because /sys cannot be read'
	rm -r "$dir/plain" "$dir/dir"
}

# What a user may not open is named, and where to read on.
closed() {
	succeed mknod -m 600 "$dir/fuse" c 10 229
	make_image disk.img 1M
	chmod 644 "$dir/disk.img"
	apart "mount --bind '$dir/fuse' /dev/fuse" \
		setpriv --reuid $USER1 --regid $USER1 --clear-groups \
		"$RAWFUSE" -r "$dir/disk.img" "$dir/r/disk.raw" 2>"$dir/err" && fail "it mounted"
	grep -q '/dev/fuse: Permission denied.*; rawfuse --probe shows what to do$' "$dir/err" ||
		fail "it said: $(<"$dir/err")"
	rm "$dir/fuse"
}

in_userns() {
	unshare -Urm true 2>"$dir/err" ||
		{ skip_part "a user namespace: $(<"$dir/err")"; return; }
	probe 0 unshare -Urm
	! grep -q '^FUSE passthrough  *yes' "$dir/out" || fail "--probe said: $(<"$dir/out")"
}

as_user() {
	local mode
	mkdir "$dir/empty" "$dir/fake"
	# No fusermount3: no mount, whatever a user namespace allows.
	probe 1 as_other env PATH="$dir/empty"
	says '^mount +no'
	says 'fusermount3'
	[[ ! -x /usr/bin/apt-get ]] || says '^    apt-get install fuse3$'
	says '^transport +none'
	printf '#!/bin/sh\necho fusermount3: not today >&2\nexit 1\n' >"$dir/fake/fusermount3"
	chmod 755 "$dir/fake/fusermount3"
	probe 1 as_other env PATH="$dir/fake:$PATH"
	says 'not today'
	rm -r "$dir/empty" "$dir/fake"
	if ! have_tool fusermount3 || [[ ! -u $(command -v fusermount3) ]]; then
		skip_part "no fusermount3 that is set-user-ID root"
		return
	fi
	mode=$(stat -Lc %a /dev/fuse)
	if ((mode % 10 < 6)); then
		restores+=("chmod $mode /dev/fuse")
		chmod 666 /dev/fuse
	fi
	probe 0 as_other env
	says '^mount +yes, by fusermount3'
	says '^FUSE ABI +7'
}

require_tool setpriv
mkdir -m 1777 "$dir/r"
chmod 755 "$dir"
as_root
something_else
closed
in_userns
as_user
finish
