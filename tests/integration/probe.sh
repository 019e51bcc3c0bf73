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
as_user
finish
