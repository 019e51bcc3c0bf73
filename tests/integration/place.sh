# The mountpoint is a place that is held: links and files that others have
# planted are not used, a renamed directory and a moved mount are found again.
if [[ ${1:-} != inside ]]; then
	unshare -m true || { echo "SKIP: no mount namespace"; exit 77; }
	exec unshare -m --propagation private bash "$0" inside
fi
. "$abs_top_srcdir/tests/integration/lib.sh"

image=$dir/disk.img
USER1=65534
sticky=$dir/tmp
file=$sticky/disk.raw

as_other() { setpriv --reuid $USER1 --regid $USER1 --clear-groups "$@"; }

# refuses PATTERN MOUNTPOINT: one line, nothing mounted.
refuses() {
	"$RAWFUSE" "$image" "$2" 2>"$dir/err" && fail "it mounted at $2"
	[[ $(<"$dir/err") =~ $1 && $(wc -l <"$dir/err") == 1 ]] ||
		fail "said '$(<"$dir/err")', not '$1'"
	no_mounts || fail "left a mount"
}

# In a directory that all may write to, as /tmp is.
planted() {
	mkdir -m 1777 "$sticky"
	mkdir "$dir/ours"
	: >"$dir/ours/secret"
	succeed as_other ln -s "$dir/ours/secret" "$file"
	refuses 'disk.raw: mount: .*link of another user' "$file"
	succeed as_other ln -s "$dir/ours" "$sticky/way"
	refuses 'way/new: mount: .*link of another user' "$sticky/way/new"
	[[ ! -e $dir/ours/new ]] || fail "created behind the link"
	# By way of a link of ours to theirs.
	ln -s "$sticky/way/secret" "$dir/link"
	refuses 'link: mount: .*link of another user' "$dir/link"
	rm "$file" "$dir/link"
	as_other bash -c ': >"$1"' plant "$file"
	refuses 'disk.raw: mount: .*file is another user' "$file"
	rm "$file" "$sticky/way"
	# What is ours is followed, as elsewhere what is theirs.
	ln -s ../ours/secret "$file"
	mount_rawfuse "$image" "$file"
	is_mounted "$dir/ours/secret" || fail "our link was not followed"
	unmount_rawfuse "$file"
	rm "$file"
	mkdir -m 777 "$dir/open"
	succeed as_other ln -s "$dir/ours/secret" "$dir/open/disk.raw"
	mount_rawfuse "$image" "$dir/open/disk.raw"
	unmount_rawfuse "$dir/ours/secret"
	# Their image, over itself: it is theirs in any case.
	cp "$image" "$file"
	chown $USER1 "$file"
	mount_rawfuse "$file" "$file"
	unmount_rawfuse "$file"
	rm -r "$sticky" "$dir/ours" "$dir/open"
}

loops() {
	ln -s self "$dir/self"
	refuses 'self: mount: Too many levels' "$dir/self"
	refuses 'self/x: mount: Too many levels' "$dir/self/x"
	rm "$dir/self"
}

size_is() { [[ $(stat -c %s "$1") == "$2" ]]; }

# What is done later is done to the mount, not to what has its name.
renamed() {
	mkdir "$dir/a"
	mount_rawfuse "$@" "$image" "$dir/a/disk.raw"
	mv "$dir/a" "$dir/b"
	mkdir "$dir/a"
	echo victim >"$dir/victim"
	ln -s "$dir/victim" "$dir/a/disk.raw"
	if [[ $# -gt 0 ]]; then
		dd if=/dev/zero of="$dir/b/disk.raw" bs=4096 seek=500 count=1 \
			conv=notrunc,fsync 2>/dev/null && fail "written past the end"
		wait_until "the size is right" size_is "$dir/b/disk.raw" 1048576
	fi
	kill "$daemon"
	wait_daemon 0
	no_mounts || fail "SIGTERM left a mount"
	[[ ! -e $dir/b/disk.raw ]] || fail "the mountpoint is left"
	expect victim cat "$dir/victim"
	rm -r "$dir/a" "$dir/b" "$dir/victim"
}

# Unmounted by hand: the file that was created goes all the same; and not one
# that has its name now.
renamed_umount() {
	mkdir "$dir/a"
	mount_rawfuse "$image" "$dir/a/disk.raw"
	mv "$dir/a" "$dir/b"
	mkdir "$dir/a"
	: >"$dir/a/disk.raw"
	unmount_rawfuse "$dir/b/disk.raw"
	[[ ! -e $dir/b/disk.raw ]] || fail "the mountpoint is left"
	[[ -e $dir/a/disk.raw ]] || fail "another file is gone"
	rm -r "$dir/a" "$dir/b"
}

moved() {
	: >"$dir/elsewhere"
	mount_rawfuse "$image" "$dir/disk.raw"
	succeed mount --move "$dir/disk.raw" "$dir/elsewhere"
	succeed cmp "$image" "$dir/elsewhere"
	kill "$daemon"
	wait_daemon 0
	no_mounts || fail "SIGTERM left the moved mount"
	[[ ! -e $dir/disk.raw ]] || fail "the mountpoint is left"
	# Another one may be where it was.
	mount_rawfuse "$image" "$dir/disk.raw"
	succeed mount --move "$dir/disk.raw" "$dir/elsewhere"
	succeed mount --bind "$image" "$dir/disk.raw"
	kill "$daemon"
	wait_daemon 0
	expect "$dir/disk.raw" our_mounts
	succeed umount "$dir/disk.raw"
	rm "$dir/elsewhere" "$dir/disk.raw"
}

# Bound to further places: none of them is left dead.
bound() {
	: >"$dir/one"
	: >"$dir/two"
	mount_rawfuse --grace="$1" "$image" "$dir/disk.raw"
	succeed mount --bind "$dir/disk.raw" "$dir/one"
	succeed mount --bind "$dir/disk.raw" "$dir/two"
	[[ -z ${2:-} ]] || exec {busy}<"$dir/one"
	kill "$daemon"
	wait_daemon 0
	no_mounts || fail "SIGTERM left mounts: $(our_mounts)"
	[[ -z ${2:-} ]] || exec {busy}<&-
	rm "$dir/one" "$dir/two"
}

no_proc() {
	unshare -m --propagation private bash -c 'mount -t tmpfs none /proc
		"$1" "$2" "$3" 2>"$4"' no_proc "$RAWFUSE" "$image" "$dir/disk.raw" "$dir/err" &&
		fail "it mounted without /proc"
	[[ $(<"$dir/err") =~ disk.raw:\ mount:\ /proc\ is\ not\ mounted ]] ||
		fail "without /proc it said: $(<"$dir/err")"
	[[ ! -e $dir/disk.raw ]] || fail "the mountpoint is left"
}

run() {
	renamed
	renamed --writeback-cache
	renamed_umount
	moved
	bound 600
	bound 0 busy
}

require_tool setpriv cmp
make_image disk.img 1M
chmod 644 "$image"
planted
loops
no_proc
each_transport run
finish
