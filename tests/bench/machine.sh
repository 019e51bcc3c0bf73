# What the numbers depend on: the report's first lines. Sourced by bench.sh.

machine_facts() {
	local governor=/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor
	local bugs=/sys/devices/system/cpu/vulnerabilities disk

	fact kernel "Linux $(uname -r)"
	fact CPU "$(nproc) of $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo |
		sort | uniq -c | sed 's/^ *\([0-9]*\) /\1 x /' | xargs)"
	fact virtual "$(systemd-detect-virt --vm 2>/dev/null ||
		{ grep -qw hypervisor /proc/cpuinfo && echo "yes"; } || echo no)"
	fact governor "$(cat $governor 2>/dev/null ||
		echo "none to be seen")"
	fact mitigations "$(grep -l ^Mitigation $bugs/* 2>/dev/null |
		sed 's|.*/||' | xargs)"
	fact memory "$(awk '/^MemTotal/ { printf "%.1f GiB", $2 / 1048576 }' \
		/proc/meminfo)"
	disk=$(df --output=source "$dir" | tail -n 1)
	fact "image's place" "$size on $(df --output=fstype "$dir" |
		tail -n 1), $disk"
	fact fio "$(fio --version), $seconds s each after $ramp s not counted"
	fact rawfuse "$("$rawfuse" --version | head -n 1), $(git -C "$here" \
		describe --always --dirty 2>/dev/null || echo "no git")"
	fact "load at the start" "$(cut -d ' ' -f 1-3 /proc/loadavg)"
}
