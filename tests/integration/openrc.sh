# The init script for OpenRC, by functions that stand for OpenRC's: it starts,
# the file can be used when it returns, and it ends with all on the disk.
. "$abs_top_srcdir/tests/integration/lib.sh"

script=$abs_top_builddir/contrib/system/rawfuse.initd
[[ -e $script ]] || (cd "$abs_top_builddir" &&
	make -s contrib/system/rawfuse.initd) || exit 99
export log_of=$dir/openrc.log
cat >"$dir/openrc-run" <<-'END'
	#!/bin/sh
	# openrc-run SCRIPT FUNCTION
	ebegin() { echo "$* ..." >>"$log_of"; }
	eerror() { echo "error: $*" >>"$log_of"; }
	eend() { [ "$1" = 0 ] || { echo "failed: $2" >>"$log_of"; return 1; }; }
	need() { :; }
	before() { :; }
	. "${1%/*}/conf"
	. "$1"
	command=$RAWFUSE
	pidfile=$dir/pid
	"$2"
END
cp "$script" "$dir/initd"
export RAWFUSE dir RC_SVCNAME=rawfuse.disk
openrc() { sh "$dir/openrc-run" "$dir/initd" "$1"; }

make_image disk.img 8M
: >"$dir/disk.raw"
cat >"$dir/conf" <<-END
	image='$dir/disk.img'
	mountpoint='$dir/disk.raw'
	options='--io-uring=off --format=raw'
END
openrc start || fail "start: $(<"$log_of")"
is_mounted "$dir/disk.raw" || fail 'it has started, and nothing is mounted'
printf new | dd of="$dir/disk.raw" conv=notrunc status=none || fail 'no write'
openrc stop || fail "stop: $(<"$log_of")"
no_mounts || fail 'it has ended, and the mount is left'
wait_until 'its process has ended' no_processes
expect new head -c 3 "$dir/disk.img"
[[ ! -e $dir/pid ]] || fail 'the pidfile is left'

# An image that is not there; and nothing said at all.
rm "$dir/disk.img"
openrc start 2>"$dir/err" && fail 'it starts without an image'
grep -q 'No such file' "$dir/err" || fail "it says '$(<"$dir/err")'"
: >"$dir/conf"
openrc start && fail 'it starts without being set up'
grep -q 'error: rawfuse.disk: image and mountpoint' "$log_of" ||
	fail "it says '$(<"$log_of")'"
finish
