# kernel.sh VERSION: a kernel of that version (7.3, say), unpacked from Debian's
# package; prints the directory that holds vmlinuz, the file "package", and
# lib/modules. Exits 77 and says why where there is none.
#
# The packages come through apt from the mirror that this system uses itself,
# with lists of its own below the cache, a state for each suite: nothing of the
# system is changed, nothing is installed. Signatures are checked, always: what
# this system's keyring cannot verify counts as not to be had.
#
# VM_MIRROR replaces the mirror. What is unpacked stays in RAWFUSE_VM_CACHE
# and is used again without a look at the network; remove it for newer ones.
set -u
shopt -s nullglob
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
cache=${RAWFUSE_VM_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/rawfuse-vm}
version=${1:?VERSION}
kernel=$cache/kernels/$version

unavailable() {
	printf 'no kernel %s: %s\n' "$version" "$*" >&2
	exit 77
}

if [[ -e $kernel/vmlinuz ]]; then
	printf '%s\n' "$kernel"
	exit
fi
suites=$(sed -n "s/^$version[[:space:]]\+//p" "$here/kernels")
[[ -n $suites ]] || unavailable "it is not in tests/vm/kernels"
for tool in apt-get apt-cache dpkg-deb flock; do
	command -v "$tool" >/dev/null || unavailable "$tool is not installed"
done
mkdir -p "$cache/kernels" || unavailable "$cache cannot be made"
exec 9>"$cache/lock"
flock -w 300 9 || unavailable "$cache is locked"
work=$(mktemp -d "$cache/work.XXXXXX") || unavailable "$cache cannot be written"
trap 'rm -rf "$work"' EXIT

uri=${VM_MIRROR:-$(bash "$here/../../contrib/mirror.sh")}
[[ -n $uri ]] || unavailable "apt's sources name no mirror of Debian"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[[ -e $keyring ]] || unavailable "debian-archive-keyring is not installed"

# use_suite SUITE: apt's options for it, and its lists.
use_suite() {
	local state=$cache/apt/$1
	mkdir -p "$state/state/lists/partial" "$state/cache/archives/partial" \
		"$state/empty"
	printf 'deb [arch=amd64 signed-by=%s] %s %s main\n' \
		"$keyring" "$uri" "$1" >"$state/sources.list"
	apt=(-o "Dir::State=$state/state" -o "Dir::State::status=/dev/null"
		-o "Dir::Cache=$state/cache"
		-o "Dir::Etc::sourcelist=$state/sources.list"
		-o "Dir::Etc::sourceparts=$state/empty"
		-o "Dir::Etc::preferencesparts=$state/empty"
		-o Dir::Etc::preferences=/dev/null
		-o APT::Architecture=amd64 -o APT::Architectures=amd64
		-o APT::Sandbox::User= -o Acquire::Languages=none
		-o Acquire::Retries=0 -o Acquire::http::Timeout=10
		-o Acquire::https::Timeout=10)
	timeout "${VM_LIST_LIMIT:-20}" apt-get "${apt[@]}" -q \
		-o APT::Update::Error-Mode=any update >"$work/log" 2>&1
}

# Packages with this version's kernel in them: "VERSION PACKAGE MODULES",
# newest first. Older ones have the modules with the kernel; of a newer one they
# are a package of their own, which a mirror may have dropped already.
candidates() {
	local all
	all=$(apt-cache "${apt[@]}" pkgnames linux-)
	apt-cache "${apt[@]}" show $(grep -E "^linux-(image|binary)(-unsigned)?-${version//./\\.}([.+-][^ ]*)?-cloud-amd64(-unsigned)?$" <<<"$all") 2>/dev/null |
		awk '/^Package:/ { p = $2 }
			/^Version:/ { v = $2 }
			/^Installed-Size:/ { size = $2 }
			/^$/ { if (size > 5000) print v, p }
			END { if (size > 5000) print v, p }' |
		sort -u | while read -r v p; do
		r=${p#linux-*-unsigned-} r=${r#linux-image-} r=${r#linux-binary-}
		m=linux-modules-$r
		# With modules goes before newer.
		if [[ $p == linux-image-* ]]; then
			printf '1 %s %s -\n' "$v" "$p"
		elif grep -qxF "$m" <<<"$all"; then
			printf '1 %s %s %s\n' "$v" "$p" "$m"
		else
			printf '0 %s %s -\n' "$v" "$p"
		fi
	done | sort -rV | cut -d' ' -f2-
}

# unpack PACKAGE...: below $work/root.
unpack() {
	local deb
	(cd "$work" && timeout "${VM_PACKAGE_LIMIT:-100}" \
		apt-get "${apt[@]}" -q download "$@" >"$work/log" 2>&1) || return
	for deb in "$work"/*.deb; do
		dpkg-deb -x "$deb" "$work/root" || return
		rm "$deb"
	done
}

said=
for suite in $suites; do
	if ! use_suite "$suite"; then
		said+="$suite: $(grep -m 1 '^[EW]:' "$work/log" || echo 'apt-get update took too long'); "
		continue
	fi
	read -r pv package modules < <(candidates)
	if [[ -z ${package:-} ]]; then
		said+="$suite has none; "
		continue
	fi
	if ! unpack "$package" ${modules#-}; then
		said+="$package: $(grep -m 1 '^E:' "$work/log" || echo 'the download took too long'); "
		continue
	fi
	images=("$work"/root/boot/vmlinuz-* "$work"/root/usr/lib/modules/*/vmlinuz*)
	[[ ${#images[@]} != 0 ]] || unavailable "$package has no vmlinuz"
	mkdir -p "$work/new/lib/modules"
	cp "${images[0]}" "$work/new/vmlinuz"
	for dir in "$work"/root/lib/modules/* "$work"/root/usr/lib/modules/*; do
		[[ ! -d $dir/kernel ]] || cp -r "$dir" "$work/new/lib/modules/"
	done
	printf '%s %s %s\n' "$package" "$pv" "$suite" >"$work/new/package"
	rm -rf "$kernel"
	mv "$work/new" "$kernel"
	printf '%s\n' "$kernel"
	exit
done
unavailable "${said%; }"
