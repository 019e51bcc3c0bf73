# Boots kernels under QEMU and runs the tests of tests/vm/tests there, in each
# mode of tests/vm/modes; make check-vm and make check-vm-all call it. Prints a
# line for each kernel and mode, and counts at the end. Exits 1 if something
# failed, 77 if nothing could be run.
#
# What make VARIABLE=... sets:
#	VM_KERNELS	versions, of tests/vm/kernels (7.3)
#	VM_MODES	modes, of tests/vm/modes (all; if quick, those that differ
#			most)
#	VM_TESTS	quick; all, but those of the kind "named"; or names of
#			tests/vm/tests (quick)
#	VM_MANY		numbers of possible CPUs that the last kernel is booted
#			with once more, for tests/vm/cpus.sh
#	VM_SMP		processors, as QEMU takes them (2)
#	VM_MEMORY	the machine's memory (1G)
#	VM_APPEND	more for the kernel's command line
#	VM_LIMIT	seconds for a boot with all its tests (600)
#	VM_TEST_LIMIT	seconds for a test (240)
#	VM_QEMU		more options for QEMU
#
# A test fails, too, when the kernel's log has a warning, a bug or a hung task
# after it; a machine that panics, or does not power itself off in time, fails
# the test that it was at. Logs are left in tests/vm of the build directory.
set -u
export LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin
: "${abs_top_builddir:?: run by make check-vm}" "${abs_top_srcdir:?}"
export abs_top_builddir abs_top_srcdir
vm=$abs_top_srcdir/tests/vm
dir=$abs_top_builddir/tests/vm
: "${VM_KERNELS:=7.3}" "${VM_MODES:=}" "${VM_TESTS:=quick}" "${VM_SMP:=2}"
: "${VM_MEMORY:=1G}" "${VM_APPEND:=}" "${VM_LIMIT:=600}"
: "${VM_TEST_LIMIT:=240}" "${VM_QEMU:=}"

[[ $VM_TESTS != quick || -n $VM_MODES ]] || VM_MODES="off on pool zero auto"

# Lines that a healthy kernel does not log.
ALARM='Kernel panic|\] (WARNING: |BUG: |Oops|kernel BUG at |UBSAN: |KASAN: |INFO: task .* blocked for more|INFO: rcu.*stall|rcu: INFO: .*stall|watchdog: BUG|list_add corruption|list_del corruption|refcount_t: |general protection fault|page allocation failure)|------------\[ cut here \]|Out of memory: Killed'

# What takes time to emulate and proves nothing here, is off; and CMPXCHG16B,
# after which QEMU 7.2 was seen to leave garbage in the flags (6.12 in SLUB).
CPU=max,la57=off,smap=off,smep=off,pku=off,cx16=off

passed=0 failed=0 skipped=0

finish() {
	printf '%s passed, %s failed, %s skipped\n' $passed $failed $skipped
	((failed == 0)) || exit 1
	((passed > 0)) || exit 77
	exit 0
}

unavailable() {
	printf 'SKIP: %s\n' "$*"
	((++skipped))
	finish
}

# A version as a number; "6.14" lies between "6.9" and "7.0".
number() {
	local major=${1%%.*} minor=${1#*.}
	echo $((major * 1000 + ${minor%%.*}))
}

# in_range VERSION FROM-TO
in_range() {
	local from=${2%%-*} to=${2#*-}
	[[ -z $from || $(number "$1") -ge $(number "$from") ]] &&
		[[ -z $to || $(number "$1") -le $(number "$to") ]]
}

# wants_test TEST KIND
wants_test() {
	case $VM_TESTS in
	all) [[ $2 != named ]] ;;
	quick) [[ $2 == quick ]] ;;
	*) [[ " $VM_TESTS " == *" $1 "* ]] ;;
	esac
}

wants_mode() { [[ -z $VM_MODES || " $VM_MODES " == *" $1 "* ]]; }

# table FILE: its lines, without comments.
table() { sed -e '/^#/d' -e '/^[[:space:]]*$/d' "$vm/$1"; }

# line MODE TEST SETTINGS
line() { printf '%s\t%s\t%s\tVM=1 %s\n' "$1" "$2" "$VM_TEST_LIMIT" "$3"; }

# plan VERSION: what guest.sh is to do, one line a test.
plan() {
	local mode range tests settings test kind more ways=
	in_range "$1" 6.14- || ways=' TRANSPORTS=off' # it has no other one
	while IFS=$'\t' read -r test kind more; do
		[[ $kind != once ]] || ! wants_test "$test" "$kind" ||
			line once "$test" "$more$ways"
	done < <(table tests)
	while IFS=$'\t' read -r mode range tests settings; do
		in_range "$1" "$range" && wants_mode "$mode" || continue
		while IFS=$'\t' read -r test kind more; do
			[[ $kind != once && ($tests == all || $kind == quick) ]] &&
				wants_test "$test" "$kind" &&
				line "$mode" "$test" "$settings $more"
		done < <(table tests)
	done < <(table modes)
}

# boot KERNEL NAME: with $dir/NAME.cpio; its output is in $dir/NAME.out and
# $dir/NAME.console.
boot() {
	rm -f "$dir/$2".{out,console,disk}
	truncate -s 2G "$dir/$2.disk"
	mkfs.ext4 -q -F -E lazy_itable_init=1,nodiscard -O ^has_journal \
		"$dir/$2.disk" || return
	# shellcheck disable=SC2086
	timeout -k 5 "$VM_LIMIT" "${emulator[@]}" -accel tcg,thread=multi \
		-cpu "$CPU" -smp "$VM_SMP" -m "$VM_MEMORY" -nodefaults \
		-no-user-config -display none -no-reboot \
		-kernel "$1/vmlinuz" -initrd "$dir/$2.cpio" \
		-append "console=ttyS0 loglevel=5 panic=-1 fuse.enable_uring=1 mitigations=off $VM_APPEND" \
		-drive "file=$dir/$2.disk,if=none,id=disk,format=raw,cache=unsafe" \
		-device nvme,drive=disk,serial=disk \
		-serial "file:$dir/$2.console" -serial "file:$dir/$2.out" \
		$VM_QEMU >"$dir/$2.qemu" 2>&1 </dev/null &
	qemu=$!
	wait $qemu
	status=$?
	qemu=
	rm -f "$dir/$2.disk"
	return $status
}
emulator=(qemu-system-x86_64)
qemu= status=
# The children of timeout end with it.
trap '[[ -z $qemu ]] || kill $qemu
rm -rf "$dir"/*.{disk,cpio,plan}
exit 130' INT TERM HUP

# account NAME LABEL: counts and tells what guest.sh has said.
account() {
	local out=$dir/$1.out
	awk -v label="$2" '
		function begin(m) {
			if (m in seen)
				return
			seen[m] = 1
			modes[++count] = m
		}
		# The rest of the line, behind so many words.
		function rest(n,   w) {
			w = $0
			while (n-- > 0)
				sub(/^[^ ]* /, "", w)
			return w
		}
		$1 == "@start" {
			running[$2 " " $3] = 1
			begin($2)
		}
		$1 == "@log" { said[$2] = said[$2] "    " $3 ": " rest(3) "\n" }
		$1 == "@end" {
			delete running[$2 " " $3]
			++n[$2, $4]
			++total[$4]
			seconds[$2] += $5
			if ($4 != "PASS")
				said[$2] = said[$2] "  " $4 ": " $3 ": " rest(5) "\n"
		}
		END {
			for (key in running) {
				split(key, r, " ")
				++n[r[1], "FAIL"]
				++total["FAIL"]
				said[r[1]] = said[r[1]] "  FAIL: " r[2] \
					": the machine ended\n"
			}
			for (i = 1; i <= count; i++) {
				m = modes[i]
				printf "%s %-14s %3d passed, %d failed, " \
					"%d skipped, %4d s\n", label, m,
					n[m, "PASS"], n[m, "FAIL"],
					n[m, "SKIP"], seconds[m]
				printf "%s", said[m]
			}
			printf "%d %d %d\n", total["PASS"], total["FAIL"],
				total["SKIP"] >counts
		}' counts="$dir/$1.counts" <(tr -d '\r' <"$out")
}

# one VERSION
one() {
	local kernel label name=$1 began=$SECONDS p f s package
	kernel=$(bash "$vm/kernel.sh" "$1" 2>"$dir/$1.why") || {
		printf 'SKIP: %s\n' "$(tail -n 1 "$dir/$1.why")"
		((++skipped))
		return
	}
	read -r package _ _ <"$kernel/package"
	label=$(printf '%-4s' "$1")
	if [[ $VM_SMP != 2 ]]; then
		name+=-${VM_SMP##*=}
		label+=" ${VM_SMP##*=} CPUs"
	fi
	bash "$vm/modules.sh" "$kernel" "$dir/$name.modules.cpio" ||
		unavailable "no modules for $1"
	rm -rf "$dir/$name.plan"
	mkdir -p "$dir/$name.plan/vm"
	plan "$1" >"$dir/$name.plan/vm/plan"
	[[ -s $dir/$name.plan/vm/plan ]] || {
		printf '%s: none of these tests in these modes\n' "$label"
		return
	}
	printf '%s\n' "$ALARM" >"$dir/$name.plan/vm/alarm"
	(cd "$dir/$name.plan" && find vm | cpio -o -H newc -R 0:0 --quiet) \
		>"$dir/$name.plan.cpio"
	cat "$dir/base.cpio" "$dir/$name.modules.cpio" "$dir/$name.plan.cpio" \
		>"$dir/$name.cpio"
	boot "$kernel" "$name"
	touch "$dir/$name.out" "$dir/$name.console"
	printf '%s %s, %d s\n' "$label" "$package" $((SECONDS - began))
	account "$name" "$label"
	read -r p f s <"$dir/$name.counts"
	((passed += p, failed += f, skipped += s))
	# What failed no test: boot and end.
	if [[ $status == 124 || $status == 137 ]]; then
		printf '  FAIL: the machine did not end in %s s\n' "$VM_LIMIT"
		((f > 0)) || ((++failed))
	elif ! grep -q '^@done' "$dir/$name.out"; then
		printf '  FAIL: the machine ended early: %s\n' "$(tail -n 3 "$dir/$name.qemu" "$dir/$name.console")"
		((f > 0)) || ((++failed))
	elif grep -qaE -- "$ALARM" "$dir/$name.console"; then
		printf '  FAIL: the kernel logged:\n'
		grep -aE -A 20 -- "$ALARM" "$dir/$name.console" | head -n 60 | sed 's/^/    /'
		((f > 0)) || ((++failed))
	fi
	rm -rf "$dir/$name".{plan,cpio,plan.cpio,modules.cpio,counts}
}

[[ $(uname -m) == x86_64 ]] || unavailable "the kernels are for x86_64"
for tool in qemu-system-x86_64 mkfs.ext4 cpio busybox; do
	command -v $tool >/dev/null || unavailable "$tool is not installed"
done
mkdir -p "$dir"
bash "$vm/image.sh" "$dir/base.cpio" 2>"$dir/why" ||
	unavailable "$(tail -n 1 "$dir/why")"
for version in $VM_KERNELS; do
	one "$version"
done
# Many possible CPUs: two are there, the others could be plugged in. Linux 7.3
# believes that only of a hypervisor that it knows, and TCG is none of them:
# but QEMU has VMware's port, where Linux asks if the serial number is VMware's.
read -ra versions <<<"$VM_KERNELS"
# Numbers of processors that do not fit into 8 bits.
use_x2apic() {
	[[ $VM_QEMU == *intel-iommu* ]] && return
	mapfile -t emulator < <(bash "$vm/emulator.sh" 2>"$dir/why")
	if ((${#emulator[@]} == 0)); then
		printf 'SKIP: %s CPUs: %s\n' "$many" "$(tail -n 1 "$dir/why")"
		((++skipped))
		return 1
	fi
	VM_QEMU+=" -machine q35 -device intel-iommu,intremap=on,eim=on"
}
for many in ${VM_MANY:-}; do
	: "${VM_MODES:=off entry pool zero}" # the others ask for a lot of memory
	VM_TESTS=cpus VM_SMP=2,sockets=$many,cores=1,threads=1,maxcpus=$many
	[[ $CPU == *hypervisor* ]] || {
		CPU+=,hypervisor=off
		VM_QEMU+=" -smbios type=1,serial=VMware-0"
	}
	((many <= 255)) || use_x2apic || continue
	one "${versions[-1]}"
done
rm -f "$dir/base.cpio"
finish
