# The benchmark's TSV as Markdown: ratios first, then what was measured, as
# median and (least-most) of all rounds. Several files are one run.

BEGIN {
	FS = "\t"
	ours["image"] = ours["uring"] = ours["dev"] = ours["base"] = 1
	split("host direct null", backend_list, " ")
	backend_title["host"] = "Image in the page cache"
	backend_title["direct"] = "Image on the disk, by O_DIRECT"
	backend_title["null"] = "No image (null): the transport alone"
}

# Facts, each once.
/^#/ {
	name = substr($1, 2)
	if (name == "contender") {
		if (!($2 in title))
			contender[++contenders] = $2
		title[$2] = $3
	} else if (!((name, $2) in said)) {
		said[name, $2] = 1
		fact_name[++facts] = name
		fact[facts] = $2
	}
	next
}

# section backend contender workload round metric value
{
	key = $1 SUBSEP $2 SUBSEP $3 SUBSEP $4 SUBSEP $6
	value[key] = value[key] " " $7
	if (!(($1, $4) in seen) && $4 != "-") {
		seen[$1, $4] = 1
		workload[$1, ++workloads[$1]] = $4
	}
	if (!(($1, "c", $3) in seen)) {
		seen[$1, "c", $3] = 1
		of[$1, ++ofs[$1]] = $3
	}
	have[$1, $2] = have[$1, $2, $3] = 1
	sections[$1] = 1
}

# Sets median, least and most; false if there is nothing.
function look(s, b, c, w, m,    k, n, i, j, t, v) {
	k = s SUBSEP b SUBSEP c SUBSEP w SUBSEP m
	if (!(k in value))
		return 0
	n = split(value[k], v, " ")
	for (i = 2; i <= n; i++) {
		t = v[i] + 0
		for (j = i - 1; j > 0 && v[j] + 0 > t; j--)
			v[j + 1] = v[j]
		v[j + 1] = t
	}
	least = v[1]
	most = v[n]
	median = (v[int((n + 1) / 2)] + v[int(n / 2) + 1]) / 2
	return n
}

function get(s, b, c, w, m) {
	return look(s, b, c, w, m) ? median : 0
}

# A bandwidth is in MiB/s, a rate in requests a second.
function is_bandwidth(w) {
	return w ~ /^b?[RW][0-9]/ || w == "hot"
}

function speed(s, b, c, w) {
	return get(s, b, c, w, is_bandwidth(w) ? "mib" : "rate")
}

function short(x) {
	return x >= 9999.5 ? sprintf("%.1fk", x / 1000) : sprintf("%d", x + .5)
}

function ratio(a, b) {
	return a && b ? sprintf("%.2f", a / b) : "-"
}

# The peer that is best at it; of the least cost, if cost is its name.
function best_peer(b, w, cost,    i, c, x, found) {
	best = 0
	for (i = 1; i <= ofs["main"]; i++) {
		c = of["main", i]
		if (c in ours)
			continue
		x = cost ? get("main", b, c, w, cost) : speed("main", b, c, w)
		if (x && (!best || (cost ? x < best : x > best))) {
			best = x
			found = c
		}
	}
	return found
}

function heads(first, list, n,    i, line) {
	printf "| %s |", first
	line = "|---|"
	for (i = 1; i <= n; i++) {
		printf " %s |", list[i]
		line = line "---:|"
	}
	print "\n" line
}

function ratios(b,    i, w, c, n, list, x, peer, mark) {
	n = split("uring / best peer|the best peer|dev / best peer|" \
		"uring / null|uring / image|CPU: uring / least of peers|" \
		"of whom|uring / base|CPU: uring / base", list, "|")
	heads(backend_title[b], list, n)
	for (i = 1; i <= workloads["main"]; i++) {
		w = workload["main", i]
		x = speed("main", b, "uring", w)
		if (!x)
			continue
		peer = best_peer(b, w)
		printf "| %s | %s | %s | %s |", w, ratio(x, best), \
			peer ? peer : "-", \
			ratio(speed("main", b, "dev", w), best)
		printf " %s | %s |", b == "null" ? "-" : \
			ratio(x, speed("main", "null", "uring", w)), \
			ratio(x, speed("main", b, "image", w))
		peer = best_peer(b, w, "cpu_req")
		printf " %s | %s |", ratio(get("main", b, "uring", w, \
			"cpu_req"), best), peer ? peer : "-"
		printf " %s | %s |\n", ratio(x, speed("main", b, "base", w)), \
			ratio(get("main", b, "uring", w, "cpu_req"), \
			get("main", b, "base", w, "cpu_req"))
	}
	print ""
}

function cell(kind, s, b, c, w,    m) {
	if (kind == "speed") {
		m = is_bandwidth(w) ? "mib" : "rate"
		if (!look(s, b, c, w, m))
			return "-"
		if (least == most)
			return short(median)
		return short(median) " (" short(least) "-" short(most) ")"
	}
	if (kind == "cpu") {
		if (!look(s, b, c, w, "cpu_req"))
			return "-"
		if (!is_bandwidth(w))
			return sprintf("%.1f", median)
		return sprintf("%.1f; %d", median, \
			get(s, b, c, w, "cpu_gib") + .5)
	}
	if (!look(s, b, c, w, "p50"))
		return "-"
	return short(median) "/" short(get(s, b, c, w, "p99")) "/" \
		short(get(s, b, c, w, "p999"))
}

function values(kind, head, b,    i, j, n, list) {
	for (i = 1; i <= contenders; i++)
		if (have["main", b, contender[i]] &&
		    !(kind == "cpu" && contender[i] == "image"))
			list[++n] = contender[i]
	heads(head, list, n)
	for (j = 1; j <= workloads["main"]; j++) {
		printf "| %s |", workload["main", j]
		for (i = 1; i <= n; i++)
			printf " %s |", cell(kind, "main", b, list[i], \
				workload["main", j])
		print ""
	}
	print ""
}

function mib(s, b, c, m) {
	return look(s, b, c, "-", m) ? sprintf("%.1f", median / 1024) : "-"
}

function memories(    i, j, c, n, list) {
	n = split("page cache: idle|peak|disk: idle|peak|null: idle|peak", \
		list, "|")
	heads("resident MiB", list, n)
	for (i = 1; i <= contenders; i++) {
		c = contender[i]
		if (c == "image")
			continue
		printf "| %s |", c
		for (j = 1; j <= 3; j++)
			printf " %s | %s |", \
				mib("main", backend_list[j], c, "idle_kib"), \
				mib("main", backend_list[j], c, "peak_kib")
		print ""
	}
	print ""
}

function main_report(    i, b) {
	print "## Ratios\n"
	for (i = 1; i <= 3; i++)
		if (have["main", backend_list[i]])
			ratios(backend_list[i])
	print "uring, dev: rawfuse by io_uring, by /dev/fuse; base: another"
	print "build of it (BENCH_BASE). More is better,"
	print "but for CPU (of the server, a request). null: rawfuse's own"
	print "null device, what the transport allows.\n"
	print "## Measured\n"
	print "r, w, m: random reads, writes, 70/30 of 4 KiB, requests a"
	print "second; the number is the depth (1: psync, else io_uring), x4:"
	print "four jobs. R, W: sequential, MiB/s, depth 4 a job; b: through"
	print "the exported file's page cache; hot: read again from there."
	print "think: a client that thinks for so many microseconds after each"
	print "read. sync: a write and fsync. open: open, fstat, close. All others"
	print "by O_DIRECT on the exported file. The image itself is read and"
	print "written through the page cache where it is in there.\n"
	for (i = 1; i <= 3; i++) {
		b = backend_list[i]
		if (!have["main", b])
			continue
		print "### " backend_title[b] "\n"
		values("speed", "speed", b)
		values("cpu", "CPU us a request; ms a GiB", b)
		values("latency", "latency us: p50/p99/p99.9", b)
	}
	print "### Memory\n"
	memories()
}

function qcow2_cell(b, c, w) {
	if (w ~ /^c/)
		return speed("qcow2-cold", b, c, w)
	if (w ~ /^a/)
		return speed("qcow2-alloc", b, c, w)
	return speed("qcow2", b, c, w)
}

function qcow2_report(    i, j, k, n, m, list, c, b, x) {
	print "## qcow2\n"
	print "Clusters of 64 KiB, preallocation=metadata and all of it"
	print "written, beside the raw image with the same bytes. c: random"
	print "4 KiB reads all over a large image without data, no table of"
	print "it in memory at the start. a: 64 KiB writes, each to a new"
	print "place of an empty image. raw, qcow2: rawfuse by io_uring.\n"
	n = split("r1|w1|r32|w32|R1M|W1M|c1|c32|a1|a16|idle MiB|peak|" \
		"cold peak|alloc peak", list, "|")
	heads("server", list, n)
	for (k = 1; k <= 2; k++) {
		b = backend_list[k]
		for (i = 1; i <= ofs["qcow2"]; i++) {
			c = of["qcow2", i]
			if (!have["qcow2", b, c])
				continue
			printf "| %s: %s |", b, c
			for (j = 1; j <= 10; j++) {
				x = qcow2_cell(b, c, list[j])
				printf " %s |", x ? short(x) : "-"
			}
			printf " %s | %s | %s | %s |\n", \
				mib("qcow2", b, c, "idle_kib"), \
				mib("qcow2", b, c, "peak_kib"), \
				mib("qcow2-cold", b, c, "peak_kib"), \
				mib("qcow2-alloc", b, c, "peak_kib")
		}
	}
	print ""
	heads("ratio", list, 10)
	for (k = 1; k <= 2; k++) {
		b = backend_list[k]
		for (i = 1; i <= ofs["qcow2"]; i++) {
			c = of["qcow2", i]
			if (c == "qcow2" || !have["qcow2", b, c])
				continue
			printf "| %s: qcow2 / %s |", b, c
			for (j = 1; j <= 10; j++)
				printf " %s |", ratio(qcow2_cell(b, "qcow2", \
					list[j]), qcow2_cell(b, c, list[j]))
			print ""
		}
	}
	print ""
}

function curve(b, head, words, metric, unit,    i, j, n, list, c) {
	if (!have["scale", b])
		return
	n = split(words, list, " ")
	heads(head, list, n)
	for (i = 1; i <= ofs["scale"]; i++) {
		c = of["scale", i]
		if (!have["scale", b, c])
			continue
		printf "| %s |", c
		for (j = 1; j <= n; j++)
			printf " %s |", look("scale", b, c, list[j], metric) ? \
				(unit ? sprintf("%.1f", median / unit) : \
				short(median)) : "-"
		print ""
	}
	print ""
}

function scale_report() {
	print "## As work grows\n"
	curve("exports", "exports, a process each: IOPS in sum (4 KiB reads," \
		" two jobs of depth 64 over all)", "1 8 64", "rate")
	curve("exports", "MiB each", "1 8 64", "kib", 1024)
	curve("jobs", "jobs, depth 8 each: IOPS", "1 2 4 8 16", "rate")
	curve("jobs", "p99, us", "1 2 4 8 16", "p99")
	curve("jobs", "CPU us a request", "1 2 4 8 16", "cpu_req", 1)
	curve("size", "image of a hole, by O_DIRECT, depth 32: IOPS", \
		"1G 16G 256G 4T 16T", "rate")
	curve("size", "MiB", "1G 16G 256G 4T 16T", "kib", 1024)
}

function idle_report(    i, j, n, list, c, w) {
	print "## Idle\n"
	n = split("mounted: CPU us|wake-ups|after work: CPU us|wake-ups", list, "|")
	heads("server", list, n)
	for (i = 1; i <= ofs["idle"]; i++) {
		c = of["idle", i]
		printf "| %s |", c
		for (j = 1; j <= 2; j++) {
			w = j == 1 ? "mounted" : "used"
			printf " %d | %d |", \
				get("idle", "host", c, w, "cpu"), \
				get("idle", "host", c, w, "woken")
		}
		print ""
	}
	print ""
}

END {
	print "# rawfuse beside its peers\n"
	for (i = 1; i <= facts; i++)
		print "- " fact_name[i] ": " fact[i]
	for (i = 1; i <= contenders; i++)
		print "- " contender[i] ": " title[contender[i]]
	print ""
	if ("main" in sections)
		main_report()
	if ("qcow2" in sections)
		qcow2_report()
	if ("scale" in sections)
		scale_report()
	if ("idle" in sections)
		idle_report()
}
