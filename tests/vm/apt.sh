# Sourced by what fetches Debian's packages: through apt, from the mirror that
# this system uses itself, with lists of its own below the cache, a state for
# each suite and machine. Nothing of the system is changed, nothing is installed.
# Signatures are checked, always: what this system's keyring cannot verify counts
# as not to be had.
#
# VM_MIRROR replaces the mirror; RAWFUSE_VM_CACHE is where all is kept. The
# script that sources this says what it is after in $wanted. Exits 77 and says
# why where there is none.
set -u
shopt -s nullglob
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
cache=${RAWFUSE_VM_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/rawfuse-vm}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

unavailable() {
	printf 'no %s: %s\n' "$wanted" "$*" >&2
	exit 77
}

# begin: the cache is ours from here on, $work a directory for a while.
begin() {
	local tool
	for tool in apt-get apt-cache dpkg-deb flock; do
		command -v "$tool" >/dev/null ||
			unavailable "$tool is not installed"
	done
	mkdir -p "$cache" || unavailable "$cache cannot be made"
	exec 9>"$cache/lock"
	flock -w 300 9 || unavailable "$cache is locked"
	work=$(mktemp -d "$cache/work.XXXXXX") ||
		unavailable "$cache cannot be written"
	trap 'rm -rf "$work"' EXIT
	uri=${VM_MIRROR:-$(bash "$here/../../contrib/mirror.sh")}
	[[ -n $uri ]] || unavailable "apt's sources name no mirror of Debian"
	[[ -e $keyring ]] || unavailable "debian-archive-keyring is not installed"
}

# use_suite SUITE [MACHINE]: apt's options for it, and its lists; says why not
# in $why. The machine is one of Debian's, or "source" for source packages.
use_suite() {
	local machine=${2:-amd64} state=$cache/apt/$1${2:+-$2} kind=deb
	if [[ $machine == source ]]; then
		machine=amd64 kind=deb-src
	fi
	mkdir -p "$state/state/lists/partial" "$state/cache/archives/partial" \
		"$state/empty"
	printf '%s [arch=%s signed-by=%s] %s %s main\n' "$kind" "$machine" \
		"$keyring" "$uri" "$1" >"$state/sources.list"
	apt=(-o "Dir::State=$state/state" -o "Dir::State::status=/dev/null"
		-o "Dir::Cache=$state/cache"
		-o "Dir::Etc::sourcelist=$state/sources.list"
		-o "Dir::Etc::sourceparts=$state/empty"
		-o "Dir::Etc::preferencesparts=$state/empty"
		-o Dir::Etc::preferences=/dev/null
		-o "APT::Architecture=$machine"
		-o "APT::Architectures=$machine"
		-o APT::Sandbox::User= -o Acquire::Languages=none
		-o Acquire::Retries=0 -o Acquire::http::Timeout=10
		-o Acquire::https::Timeout=10)
	timeout "${VM_LIST_LIMIT:-20}" apt-get "${apt[@]}" -q \
		-o APT::Update::Error-Mode=any update >"$work/log" 2>&1 && return
	why="$1: $(grep -m 1 '^[EW]:' "$work/log" ||
		echo 'apt-get update took too long')"
	return 1
}

# unpack PACKAGE...: below $work/root; says why not in $why.
unpack() {
	local deb
	(cd "$work" && timeout "${VM_PACKAGE_LIMIT:-100}" \
		apt-get "${apt[@]}" -q download "$@" >"$work/log" 2>&1) || {
		why="$1: $(grep -m 1 '^E:' "$work/log" ||
			echo 'the download took too long')"
		return 1
	}
	for deb in "$work"/*.deb; do
		dpkg-deb -x "$deb" "$work/root" || {
			why="$1: it cannot be unpacked"
			return 1
		}
		rm "$deb"
	done
}
