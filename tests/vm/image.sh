# image.sh OUT: an initramfs with a small system, rawfuse and its tests, from
# this machine's own programs and libraries. Uncompressed: to unpack takes an
# emulated processor longer than to copy. For make: abs_top_builddir and
# abs_top_srcdir are set.
set -eu
export LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin
: "${abs_top_builddir:?: run by make check-vm}" "${abs_top_srcdir:?}"
out=${1:?OUT}

unavailable() {
	printf 'no initramfs: %s\n' "$*" >&2
	exit 77
}

# What the tests call; busybox has the rest.
needed='bash fio qemu-img qemu-io mkfs.ext4 e2fsck losetup findmnt setpriv
	unshare flock cmp diff fstrim blockdev prlimit mount umount mountpoint
	date stat truncate dd head tail cut tac sort cp mv rm ln mkdir rmdir mktemp
	chmod chown touch cat sync tr wc readlink realpath timeout sleep id env
	mkfifo grep sed awk find tee seq test printf od xargs'
wished='fusermount3'

for tool in busybox cpio ldd; do
	command -v $tool >/dev/null || unavailable "$tool is not installed"
done
! ldd "$(command -v busybox)" >/dev/null 2>&1 ||
	unavailable "busybox is not a static one (package busybox-static)"

root=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
mkdir -p "$root"/{bin,etc,lib,vm/src/tests,vm/build/tests/{integration,unit,qcow2}}
mkdir -p "$root/usr" "$root/sbin"
ln -s ../bin "$root/usr/bin"
ln -s ../sbin "$root/usr/sbin"
cp "$(command -v busybox)" "$root/bin/busybox"
programs=()
for tool in $needed; do
	p=$(type -P "$tool") || unavailable "$tool is not installed"
	programs+=("$p")
done
for tool in $wished; do
	p=$(type -P "$tool") || continue
	programs+=("$p")
done
for p in "${programs[@]}"; do
	cp -L "$p" "$root/bin/"
done
[[ ! -e $root/bin/fusermount3 ]] || chmod 4755 "$root/bin/fusermount3"
ln -s bash "$root/bin/sh"
printf 'root:x:0:0::/tmp:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' \
	>"$root/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
[[ ! -e /etc/mke2fs.conf ]] || cp /etc/mke2fs.conf "$root/etc/"

cp "$abs_top_builddir/rawfuse" "$root/vm/build/"
for p in integration/{deny,fileop,guard,load,model} unit/unit; do
	p=tests/$p
	[[ ! -e $abs_top_builddir/$p ]] ||
		cp "$abs_top_builddir/$p" "$root/vm/build/$p"
done
mkdir "$root/vm/src/tests/vm"
cp -r "$abs_top_srcdir/tests/integration" "$root/vm/src/tests/"
cp "$abs_top_srcdir"/tests/vm/*.sh "$root/vm/src/tests/vm/"
cp "$abs_top_srcdir/tests/vm/guest.sh" "$root/vm/"
cp "$abs_top_srcdir/tests/vm/init" "$root/init"
chmod 755 "$root/init"

# Libraries, each at its own place.
for p in "${programs[@]}" "$root"/vm/build/rawfuse \
	"$root"/vm/build/tests/*/*; do
	ldd "$p" 2>/dev/null | awk '{ for (i = 1; i <= NF; i++)
		if ($i ~ /^\//) print $i }'
done | sort -u | while read -r lib; do
	[[ -e $root$lib ]] || install -D -m 755 "$lib" "$root$lib"
done

(cd "$root" && find . | sort | cpio -o -H newc -R 0:0 --quiet) >"$out.new"
mv "$out.new" "$out"
