# emulator.sh: a qemu-system-x86_64 that can emulate more than 255 processors
# (x2APIC without KVM: QEMU 9.0), the system's own if it is one, else unpacked
# from Debian's backports. Prints the words to call it by, one a line. Exits 77
# and says why where there is none.
wanted="QEMU 9.0"
. "$(dirname "$0")/apt.sh"
new=$cache/emulator

can_do() {
	local major
	major=$("$1" --version 2>/dev/null | sed -n '1s/.*version \([0-9]*\).*/\1/p')
	((${major:-0} >= 9))
}
# Its BIOS is in a package that the system's own QEMU needs as well.
found() {
	printf '%s\n' "$new/usr/bin/qemu-system-x86_64" \
		-L "$new/usr/share/qemu" -L /usr/share/seabios
	exit
}

if can_do qemu-system-x86_64; then
	echo qemu-system-x86_64
	exit
fi
! can_do "$new/usr/bin/qemu-system-x86_64" || found
codename=$(. /etc/os-release && printf %s "${VERSION_CODENAME:-}")
begin
use_suite "$codename-backports" || unavailable "$why"
unpack qemu-system-x86 qemu-system-common qemu-system-data || unavailable "$why"
can_do "$work/root/usr/bin/qemu-system-x86_64" ||
	unavailable "that of $codename-backports is older, or a library is missing"
rm -rf "$new"
mv "$work/root" "$new"
found
