#!/bin/bash
# chart.sh TSV SVG: bars of the main workloads, a row for the image in the page
# cache and one for the disk, with gnuplot; the lines on the bars go from the
# least of the rounds to the most. The first bar of a panel is no server: for
# the page cache, which is far beyond, it is rawfuse's null device.
set -eu -o pipefail
export LC_ALL=C

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
awk -F'\t' -v dir="$dir" '
$1 == "#contender" && !($2 in place) {
	place[$2] = ++n
	if ($2 == "image")
		$3 = "rawfuse null above, the image itself below"
	print n "\t" $3 >(dir "/names")
}
# The null device, the limit of our transport, stands where the image does.
$1 == "main" && $2 $3 == "hostimage" { next }
$1 == "main" && $2 $3 == "nulluring" {
	$2 = "host"
	$3 = "image"
}
$1 == "main" && $6 == ($4 ~ /^[RW]/ ? "mib" : "rate") {
	k = $2 "-" $4 SUBSEP $3
	v[k, ++count[k]] = $7
}
END {
	for (k in count) {
		c = count[k]
		for (i = 2; i <= c; i++)
			for (j = i; j > 1 && v[k, j - 1] + 0 > v[k, j] + 0; j--) {
				t = v[k, j]
				v[k, j] = v[k, j - 1]
				v[k, j - 1] = t
			}
		split(k, part, SUBSEP)
		m = (v[k, int((c + 1) / 2)] + v[k, int(c / 2) + 1]) / 2
		d = part[1] ~ /-[RW]/ ? 1024 : 1000
		print place[part[2]], m / d, v[k, 1] / d, v[k, c] / d \
			>(dir "/" part[1])
	}
}' "$1"
[ -s "$dir/names" ] || { echo "chart: nothing in $1" >&2; exit 1; }
count=$(wc -l <"$dir/names")
colours=(9a9a9a c0392b e59866 1f4e79 2e86c1 85c1e9 7d3c98 196f3d 52be80 a9dfbf
	b7950b 000000)

{
	cat <<-END
	set terminal svg size 1000,640 noenhanced font "sans-serif,12" background "white"
	set output "$2"
	array colour[12] = [$(printf '0x%s,' "${colours[@]}" | sed 's/,$//')]
	set style fill solid noborder
	set boxwidth 0.8
	unset key
	set grid ytics lc rgb "0xdddddd"
	set border 3
	set tics nomirror
	unset xtics
	set xrange [0.3:$count.7]
	set yrange [0:*]
	set multiplot
	END
	row=0
	for backend in host direct; do
		column=0
		for panel in "r1:4K reads, depth 1:k/s" \
			"r32:4K reads, depth 32:k/s" \
			"w32:4K writes, depth 32:k/s" \
			"R1M:1M reads, depth 4:GiB/s" "W1M:1M writes, depth 4:GiB/s"; do
			IFS=: read -r name title unit <<<"$panel"
			file=$dir/$backend-$name
			[ -s "$file" ] || { ((column += 1)); continue; }
			cat <<-END
			set lmargin at screen $(awk -v c=$column \
				'BEGIN { print 0.045 + c * 0.195 }')
			set rmargin at screen $(awk -v c=$column \
				'BEGIN { print 0.19 + c * 0.195 }')
			set tmargin at screen $(awk -v r=$row \
				'BEGIN { print 0.91 - r * 0.41 }')
			set bmargin at screen $(awk -v r=$row \
				'BEGIN { print 0.62 - r * 0.41 }')
			set title "$title, $unit" font ",11" offset 0,-0.5
			bars = "$file"
			plot bars using 1:2:(colour[int(\$1)]) with boxes \
				lc rgb variable, bars using 1:2:3:4 with \
				yerrorbars lc rgb "0x333333" pt 0 lw 1
			END
			((column += 1))
		done
		((row += 1))
	done
	echo 'unset title; unset border; unset tics; unset grid'
	echo 'set lmargin 0; set rmargin 0; set tmargin 0; set bmargin 0'
	echo 'set label 90 "Image in the page cache" at screen 0.01,0.97' \
		'font ",14"'
	echo 'set label 91 "Image on the disk, by O_DIRECT" at screen' \
		'0.01,0.555 font ",14"'
	while IFS=$'\t' read -r place title; do
		x=$(awk -v i="$place" 'BEGIN {
			print 0.03 + (i - 1) % 3 * 0.33 }')
		y=$(awk -v i="$place" 'BEGIN {
			print 0.155 - int((i - 1) / 3) * 0.037 }')
		echo "set object $place rectangle from screen $x,$y-0.012 to" \
			"screen $x+0.012,$y+0.012 fc rgb" \
			"'#${colours[place - 1]}' fs solid noborder"
		echo "set label $place '$title' at screen $x+0.018,$y" \
			"font ',11'"
	done <"$dir/names"
	echo 'set yrange [0:1]; plot -1 notitle; unset multiplot'
} >"$dir/plot"
sed -i '/\\$/{:a;N;s/\\\n[[:space:]]*//;/\\$/ba}' "$dir/plot"
gnuplot "$dir/plot"
