# --stats: the file is what Prometheus reads, whole at any moment, right, and
# never in the place of something else.
. "$abs_top_srcdir/tests/integration/lib.sh"

image=$dir/disk.img
file=$dir/disk.raw
stats=$dir/disk.prom

# A small strict reader of the text format: names, labels, values, types, no
# sample twice, histograms that add up.
check_format() {
	if have_tool promtool; then
		promtool check metrics <"$1" >"$dir/said" 2>&1 || fail "promtool: $(<"$dir/said")"
	fi
	awk '
	function bad(why) { print "line " NR ": " why ": " $0; wrong = 1; exit 1 }
	/^# HELP rawfuse_[a-z_]+ [^ ]/ { if (help[$3]++) bad("HELP twice"); next }
	/^# TYPE rawfuse_[a-z_]+ (counter|gauge|histogram)$/ {
		if (type[$3]) bad("TYPE twice")
		if (!help[$3]) bad("no HELP")
		type[$3] = $4
		next
	}
	!/^rawfuse_[a-z_]+\{[a-z_]+="([^"\\]|\\["\\n])*"(,[a-z_]+="([^"\\]|\\["\\n])*")*\} [0-9]+(\.[0-9]+)?$/ { bad("no sample") }
	{
		name = $0; sub(/\{.*/, "", name)
		series = $0; sub(/ [0-9.]+$/, "", series)
		if (seen[series]++) bad("twice")
		base = name
		if (!type[base]) sub(/_(bucket|sum|count)$/, "", base)
		if (!type[base]) bad("no TYPE")
		if (type[name] == "counter" && name !~ /_total$/) bad("counter without _total")
		operation = $0; sub(/.*operation="/, "", operation); sub(/".*/, "", operation)
		if (name ~ /_bucket$/) {
			if ($NF + 0 < last[operation] + 0) bad("not cumulative")
			last[operation] = $NF
			buckets[operation]++
			if (/le="\+Inf"/) all[operation] = $NF
		}
		if (name ~ /_seconds_count$/ && $NF != all[operation]) bad("+Inf is not the count")
	}
	END { if (!wrong && (NR < 100 || buckets["read"] != 25)) { print NR " lines, " buckets["read"] " buckets"; exit 1 } }
	' "$1" >"$dir/said" || fail "the format: $(<"$dir/said")"
}

# has NAME [LABEL]: the value of the sample.
value() { awk -v name="rawfuse_$1{" -v label="${2:-}" 'index($0, name) == 1 && index($0, label) { print $NF }' "$stats" 2>/dev/null; }
is() { [[ $(value "$1" "${3:-}") == "$2" ]]; }

right() {
	make_image disk.img 4M
	mount_rawfuse --stats="$stats" "$image" "$file"
	wait_until "there is a file" test -s "$stats"
	check_format "$stats"
	expect 644 stat -c %a "$stats"
	is up 1 || fail "it is not up"
	is size_bytes 4194304 || fail "size $(value size_bytes)"
	expect 65536 fileop -d "$file" pwrite 0 65536 1
	expect 4096 fileop -d "$file" pread 0 4096
	expect ENOSPC fileop -d "$file" pwrite 4194304 4096
	wait_until "the write is counted" is written_bytes_total 65536
	wait_until "the read is counted" is read_bytes_total 4096
	wait_until "the error is counted" is errors_total 1 'error="ENOSPC"'
	is request_duration_seconds_count 2 'operation="write"' || fail "$(grep write "$stats")"
	is requests_total 2 'operation="WRITE"' || fail "$(grep WRITE "$stats")"
	grep -qF "image=\"$image\",format=\"raw\"" "$stats" || fail "no rawfuse_info"
	check_format "$stats"
	no_temporary
	unmount_rawfuse "$file"
	check_format "$stats"
	is up 0 || fail "at the end it is up"
	is unflushed_bytes 0 || fail "at the end it is not flushed"
	no_temporary
	# A second one takes the place of the first one's.
	mount_rawfuse -r --stats="$stats" "$image" "$file"
	wait_until "it is up" is up 1
	unmount_rawfuse "$file"
	rm "$stats"
}
no_temporary() {
	local left=("$dir"/disk.prom.*)
	((${#left[@]} == 0)) || fail "left: ${left[*]}"
}

# Whoever reads sees a whole file, while it is replaced.
whole() {
	local i inode other=0
	mount_rawfuse --stats="$stats" "$image" "$file"
	wait_until "there is a file" test -s "$stats"
	inode=$(stat -c %i "$stats")
	for ((i = 0; i < TRIES && other < 2; i++)); do
		expect 4096 fileop -d "$file" pread 0 4096
		cp "$stats" "$dir/copy"
		[[ $(tail -n 1 "$dir/copy") == rawfuse_request_duration_seconds_count* ]] ||
			fail "a part: $(tail -n 1 "$dir/copy")"
		[[ $(head -n 1 "$dir/copy") == '# HELP rawfuse_info '* ]] || fail "a part"
		if [[ $(stat -c %i "$stats") != "$inode" ]]; then
			inode=$(stat -c %i "$stats")
			((++other))
		fi
		sleep 0.02
	done
	((other == 2)) || fail "it was not replaced"
	unmount_rawfuse "$file"
	rm "$stats" "$dir/copy"
}

metadata() {
	have_tool qemu-img || { skip_part "qcow2: no qemu-img"; return 0; }
	succeed qemu-img create -q -f qcow2 "$dir/disk.qcow2" 64M
	mount_rawfuse --stats="$stats" "$dir/disk.qcow2" "$file"
	expect 65536 fileop -d "$file" pwrite 0 65536 1
	expect 65536 fileop -d "$file" pread 0 65536
	wait_until "hits are counted" has_hits
	check_format "$stats"
	unmount_rawfuse "$file"
	is metadata_dirty_bytes 0 || fail "dirty at the end"
	rm "$stats" "$dir/disk.qcow2"
}
has_hits() { [[ $(value metadata_cache_hits_total) == [1-9]* ]]; }

refused() { # TEXT FILE
	"$RAWFUSE" -f --stats="$2" "$image" "$file" 2>"$dir/said" && fail "--stats=$2 works"
	grep -qE -- "--stats: $1" "$dir/said" || fail "--stats=$2: $(<"$dir/said")"
	(($(wc -l <"$dir/said") == 1)) || fail "several lines: $(<"$dir/said")"
	[[ ! -e $file ]] || fail "the mountpoint is left"
}

# Nor in the image, which may be empty, or through the mount.
refused_disk() { # OPTION
	"$RAWFUSE" -f "$1" "$image" "$file" 2>"$dir/said" && fail "$1 works"
	grep -q "it is the image or the mountpoint" "$dir/said" || fail "$1: $(<"$dir/said")"
	[[ ! -e $file ]] || fail "the mountpoint is left"
}

not_in_place_of() {
	cp "$image" "$dir/precious"
	refused "something else has that name" "$dir/precious"
	succeed cmp "$image" "$dir/precious"
	mkdir "$dir/d"
	refused "" "$dir/d"
	refused "No such file or directory" "$dir/nowhere/x.prom"
	: >"$dir/empty.img"
	image=$dir/empty.img refused_disk --stats="$dir/empty.img"
	image=$dir/empty.img refused_disk --log="$dir/empty.img"
	refused_disk --log="$file"
	rmdir "$dir/d"
	rm "$dir/precious" "$dir/empty.img"
}

each_transport right
each_transport whole
each_transport metadata
not_in_place_of
finish
