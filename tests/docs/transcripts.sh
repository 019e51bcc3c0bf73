#!/usr/bin/env bash
# The transcripts of the man pages and of README are run as they stand, and the
# output that they show is compared. Each block is run in a shell of its own, in
# a mount namespace of the test's own, in a new /srv that holds the images which
# the texts speak of. After the prompt '$' a command runs as the user ann, after
# '#' as root; each must succeed.
#
# In what is shown "..." at the end of a line stands for the rest of the line,
# and a line "..." for any number of lines. Dates may differ. A mark in the line
# before the block (.\" transcript: MARK, or <!-- transcript: MARK -->) changes
# what is compared:
#
#   numbers differ    not the numbers
#   first column      nothing behind two blanks, no lines that begin with one
#   not run: REASON   nothing; every block without a prompt needs this

if [[ -z ${TRANSCRIPTS_PRIVATE:-} ]]; then
	export TRANSCRIPTS_PRIVATE=1
	unshare -m --propagation private true ||
		{ echo "SKIP: no mount namespace of its own"; exit 77; }
	exec unshare -m --propagation private bash "$0"
fi
. "$abs_top_srcdir/tests/integration/lib.sh"

ANN=1000
pages=("$abs_top_srcdir"/man/rawfuse*.[1-9])
shell=
run=0 not_run=0

# blocks FILE: for each block a line @LINE MARK, then its lines.
blocks() {
	if [[ $1 == *.md ]]; then
		awk '/^<!-- transcript: .* -->$/ { mark = substr($0, 18, length - 21); next }
			/^```/ { inside = !inside; if (inside) print "@" FNR, mark; mark = ""; next }
			inside { print; next }
			/^    / && blank && !indented { indented = 1; print "@" FNR, mark; mark = "" }
			/^    / && indented { print substr($0, 5) }
			!/^    / && NF { indented = 0 }
			{ blank = !NF }' "$1"
	else
		awk '/^\.\\" transcript: / { mark = substr($0, 17) }
			/^\.Bd -literal/ { inside = 1; print "@" FNR, mark; mark = ""; next }
			/^\.Ed/ { inside = 0 }
			inside { gsub(/\\e/, "\\"); gsub(/\\&/, ""); print }' "$1"
	fi
}

# What the texts take for granted.
private_machine() {
	local f
	[[ $dir/ != /srv/* && $dir/ != /mnt/* && $dir/ != /run/* ]] ||
		skip "TMPDIR is below what the test hides"
	mkdir "$dir"/{bin,home}
	cp "$RAWFUSE" "$dir/bin/rawfuse"
	cp "$abs_top_builddir/contrib/rawfuse-mount" "$dir/bin"
	RAWFUSE=$dir/bin/rawfuse
	for f in /srv /mnt /run; do mount -t tmpfs -o mode=755 none "$f" || exit 99; done
	mkdir -p /run/user/$ANN
	chmod 700 /run/user/$ANN
	chown $ANN:$ANN /run/user/$ANN "$dir/home"
	mknod -m 666 "$dir/fuse" c 10 229 && mount --bind "$dir/fuse" /dev/fuse &&
		: 2>/dev/null <>/dev/fuse || skip "no device can be made in $dir"
	sed -e '/^ann:/d' -e "/^[^:]*:[^:]*:$ANN:/d" /etc/passwd >"$dir/passwd"
	echo "ann:x:$ANN:$ANN::$dir/home:/bin/sh" >>"$dir/passwd"
	sed -e '/^ann:/d' -e "/^[^:]*:[^:]*:$ANN:/d" /etc/group >"$dir/group"
	echo "ann:x:$ANN:" >>"$dir/group"
	mount --bind "$dir/passwd" /etc/passwd && mount --bind "$dir/group" /etc/group ||
		exit 99
	: >"$dir/fstab"
	[[ -e /etc/fstab ]] || skip "there is no /etc/fstab"
	mount --bind "$dir/fstab" /etc/fstab || exit 99
	# mount(8) looks for its helper there only.
	mkdir /run/sbin
	mount --bind /usr/sbin /run/sbin && mount -t tmpfs none /usr/sbin || exit 99
	ln -s /run/sbin/* /usr/sbin
	ln -sf "$RAWFUSE" /usr/sbin/mount.fuse.rawfuse
}

make_images() {
	local at=$dir/images
	mkdir "$at"
	truncate -s 64M "$at/disk.img"
	mkfs.ext4 -qF "$at/disk.img"
	qemu-img create -q -f qcow2 "$at/disk.qcow2" 256M
	printf '2048,,L\n' >"$dir/table"
	truncate -s 256M "$at/raw"
	sfdisk -q "$at/raw" <"$dir/table"
	qemu-img convert -f raw -O qcow2 "$at/raw" "$at/disk.qcow2"
	rm "$at/raw"
	qemu-img snapshot -c monday "$at/disk.qcow2"
	(cd "$at" && qemu-img create -q -f qcow2 -b disk.qcow2 -F qcow2 overlay.qcow2)
	echo data >"$at/file"
	head -c 64M /dev/urandom >"$at/other.img"
}

# The images as they were, of user $1.
new_srv() {
	find /srv -mindepth 1 -delete
	cp -a --sparse=always "$dir/images/." /srv
	chown -R "$1:$1" /srv
	: >/etc/fstab
}

start_shell() { # USER
	local as=(env HOME=/root)
	(($1)) && as=(setpriv --reuid "$1" --regid "$1" --clear-groups
		env HOME="$dir/home" XDG_RUNTIME_DIR="/run/user/$1")
	: >"$dir/out"
	rm -f "$dir/commands"
	mkfifo "$dir/commands"
	# shellcheck disable=SC2016
	(cd /srv && exec "${as[@]}" PATH="$dir/bin:$PATH" bash --norc -c '
		while IFS= read -r -u 9 command; do
			eval "$command" 9<&-
			echo "@@@ $?"
		done') 9<"$dir/commands" >>"$dir/out" 2>&1 </dev/null {machine_lock}<&- &
	shell=$!
	exec {commands}>"$dir/commands"
}

end_shell() {
	exec {commands}>&-
	wait "$shell"
}

finished() { grep -q '^@@@ ' <(said); }
# What the command has said: behind the part of the output that was there before.
said() { tail -c "+$((from + 1))" "$dir/out"; }

# As it is compared, by the block's mark.
plain() {
	local months='(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)'
	sed -E "s/$months [ 0-9][0-9] +[0-9:]{4,5}/DATE/" | case $mark in
	"numbers differ") sed -E 's/[0-9]+(\.[0-9]+)*/N/g' ;;
	"first column") sed -E '/^ /d; s/([^ ])  .*/\1/' ;;
	*) cat ;;
	esac
}

# The shown lines as a pattern of bash.
pattern() {
	plain | sed -e 's/[][\\*?]/\\&/g' -e 's/ \.\.\.$/*/' -e 's/^\.\.\.$/*/'
}

# shellcheck disable=SC2053
is_as_shown() {
	local got
	got=$(said | grep -v '^@@@ ' | plain)
	# A line "..." may stand for none.
	[[ $got == $want || $got == ${want%$'\n'\*} ]]
}

# one COMMAND: runs it and compares what is shown.
one() {
	local from status want i
	from=$(stat -c %s "$dir/out")
	say "  $1"
	printf '%s\n' "$1" >&"$commands"
	wait_until "'$1' has ended; it said: $(said)" finished
	status=$(said | sed -n 's/^@@@ //p')
	((status == 0)) || fail "$place: '$1' ended with $status: $(said)"
	((${#shown[@]})) || return 0
	want=$(printf '%s\n' "${shown[@]}" | pattern)
	# What is in the background may need some time to say it.
	for ((i = 0; i < TRIES / 10; i++)); do
		is_as_shown && return
		sleep 0.02
	done
	fail "$place: '$1' said
$(said)
and not
$(printf '%s\n' "${shown[@]}")"
}

# The commands of "$@", the lines of a block.
run_block() {
	local line command= shown=() user=0
	[[ $1 == "$ "* ]] && user=$ANN
	new_srv "$user"
	start_shell "$user"
	for line; do
		if [[ $command == *\\ ]]; then
			command=${command%\\}$line
		elif [[ $line == [\$\#]\ * ]]; then
			[[ -z $command ]] || one "$command"
			command=${line:2}
			shown=()
		else
			[[ -n $line || -n $command ]] && shown+=("$line")
		fi
	done
	one "$command"
	end_shell
	tidy
	((++run))
}

# What a transcript leaves, and how it ends is not its subject.
tidy() {
	local p
	for p in /mnt /srv/*; do
		while mountpoint -q "$p" && [[ $p != /mnt || $(stat -fc %T /mnt) != tmpfs ]]; do
			umount "$p" || fail "$place: $p cannot be unmounted"
		done
	done
	wait_until "$place: rawfuse has ended" no_processes
}

block() { # LINE...
	if [[ $mark == "not run: "?* ]]; then
		say "$place: $mark"
		((++not_run))
	elif [[ ${1:-} == [\$\#]\ * ]]; then
		say "$place"
		run_block "$@"
	else
		fail "$place: neither a transcript nor marked 'not run: REASON'"
	fi
}

file() {
	local line lines=() place= mark=
	while IFS= read -r line; do
		if [[ $line == @* ]]; then
			[[ -z $place ]] || block "${lines[@]}"
			place=${1##*/}:${line:1}
			mark=${place#* }
			[[ $place == *" "?* ]] || mark=
			place=${place%% *}
			lines=()
		else
			lines+=("$line")
		fi
	done < <(blocks "$1"; echo "@0")
}

require_tool qemu-img sfdisk mkfs.ext4 fusermount3 setpriv unshare
private_machine
make_images
for page in "${pages[@]}" "$abs_top_srcdir/README.md"; do file "$page"; done
((run > 5)) || fail "only $run transcripts were found"
say "$run transcripts were run, $not_run not"
finish
