# packages.sh WHAT: what tests/cross/run.sh needs, unpacked from Debian's
# packages of this system's own release; prints the directory. WHAT is
#	emulator	usr/bin/qemu-MACHINE-static, for user programs
#	tools-TRIPLE	GCC and the binutils for that machine
#	i386, s390x, arm64, armhf	that machine's C library and what rawfuse
#			links
#	musl		musl, and in src/ the sources of what rawfuse links
# Exits 77 and says why where it cannot be had. What is unpacked is used again
# without a look at the network; remove it for newer ones.
what=${1:?WHAT}
wanted="packages for $what"
: "${VM_LIST_LIMIT:=60}" "${VM_PACKAGE_LIMIT:=300}"
. "$(dirname "$0")/../vm/apt.sh"
into=$cache/cross/$what

# One of an earlier time had fewer machines.
[[ $what != emulator || -e $into/usr/bin/qemu-aarch64-static ]] || rm -rf "$into"
if [[ -d $into ]]; then
	printf '%s\n' "$into"
	exit
fi
codename=$(. /etc/os-release && printf %s "${VERSION_CODENAME:-}")
begin
mkdir -p "$cache/cross" "$work/root"

# closure PACKAGE...: those and what they depend on, on an empty system.
closure() {
	apt-get "${apt[@]}" -s --no-install-recommends install "$@" |
		awk '$1 == "Inst" { print $2 }'
}

# What one of a release's names without a version stands for: gcc-i686-linux-gnu
# depends on gcc-12-i686-linux-gnu, say.
gcc_version() {
	apt-cache "${apt[@]}" depends "gcc-$1" |
		sed -n "s/.* gcc-\([0-9]*\)-$1\$/\1/p" | head -n 1
}

try() {
	"$@" || unavailable "$why"
}

case $what in
emulator)
	try use_suite "$codename"
	try unpack qemu-user-static
	for file in "$work"/root/usr/bin/*; do
		case ${file##*/} in
		qemu-i386-static | qemu-s390x-static | qemu-arm-static | \
			qemu-aarch64-static) ;;
		*) rm "$file" ;;
		esac
	done
	[[ -x $work/root/usr/bin/qemu-i386-static ]] ||
		unavailable "qemu-user-static of $codename has none"
	;;
tools-*)
	triple=${what#tools-}
	try use_suite "$codename"
	version=$(gcc_version "$triple")
	[[ -n $version ]] || unavailable "$codename has no gcc-$triple"
	try unpack "gcc-$version-$triple" "cpp-$version-$triple" \
		"binutils-$triple"
	;;
musl)
	try use_suite "$codename"
	try unpack musl musl-dev musl-tools
	try use_suite "$codename" source
	mkdir "$work/root/src"
	(cd "$work/root/src" && timeout "$VM_PACKAGE_LIMIT" \
		apt-get "${apt[@]}" -q source --download-only \
		libev liburing zlib libzstd check >"$work/log" 2>&1) ||
		unavailable "$(grep -m 1 '^E:' "$work/log" ||
			echo 'the download took too long')"
	;;
i386 | s390x | arm64 | armhf)
	try use_suite "$codename" "$what"
	names=$(closure libc6-dev libgcc-s1 libev-dev liburing-dev zlib1g-dev \
		libzstd-dev check)
	# libgcc-N-dev of the compiler above, which may be told by its kin alone.
	version=$(apt-cache "${apt[@]}" depends gcc |
		sed -n 's/.* gcc-\([0-9]*\)$/\1/p' | head -n 1)
	[[ -n $names && -n $version ]] ||
		unavailable "$codename lacks a library for it"
	try unpack $names "libgcc-$version-dev"
	;;
*)
	unavailable 'not known'
	;;
esac
mv "$work/root" "$into"
printf '%s\n' "$into"
