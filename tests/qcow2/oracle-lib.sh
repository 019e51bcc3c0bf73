# oracle.sh's cases: how an image is made, and how one case runs.
# shellcheck shell=bash disable=SC2154

# Writes, zeroes and discards; @1 makes the patterns different, @2 is the
# format, the rest are images that get the same.
fill() {
	local p=$1 f=$2 img
	shift 2
	for img; do
		qio -f "$f" -c "write -P $((p + 1)) 0 96k" \
			-c "write -P $((p + 2)) 1000k 300k" \
			-c "write -z 1100k 70k" \
			-c "write -P $((p + 3)) $((p * 37 % 3900 + 100))k 33k" \
			-c "write -P $((p + 4)) 3333k 2560" \
			-c "write -P $((p + 5)) 1600k 900k" \
			-c "write -z $((p * 64 % 3900))k 128k" "$img" ||
			return 1
	done
}

# For images of 1 MiB.
fill_small() {
	local p=$1
	qio -f qcow2 -c "write -P $((p + 1)) 0 100k" \
		-c "write -P $((p + 2)) $((p * 7 + 300))k 130k" \
		-c "write -z 350k 40k" -c "write -P $((p + 3)) 700k 1536" "$2"
}

# The same without qemu-io: a raw file of $2 bytes.
make_raw() {
	qemu-img create -q -f raw "$1" "$2" &&
		qio -f raw -c "write -P 81 0 $3" \
			-c "write -P 82 $4 20k" "$1"
}

# Makes the backing file that the word asks for; prints what create needs.
make_backing() {
	local i
	case $1 in
	backraw) make_raw base $size 2M 3000k && echo "-b base -F raw" ;;
	backshort) make_raw base 1537k 1M 1400k && echo "-b base -F raw" ;;
	backunaligned)
		make_raw base 2m 1M 1400k && truncate -s 1500001 base &&
			echo "-b base -F raw"
		;;
	backlong) make_raw base 12M 11M 11500k && echo "-b base -F raw" ;;
	smallraw) make_raw base $size 200k 500k && echo "-b base -F raw" ;;
	smallqcow)
		qemu-img create -q -f qcow2 -o cluster_size=2k base $size &&
			fill_small 10 base && echo "-b base -F qcow2"
		;;
	backqcow)
		qemu-img create -q -f qcow2 -o cluster_size=8k base $size &&
			fill 10 qcow2 base && echo "-b base -F qcow2"
		;;
	backcompressed)
		make_raw base.raw $size 2M 3000k &&
			qemu-img convert -c -f raw -O qcow2 \
				-o cluster_size=32k base.raw base &&
			echo "-b base -F qcow2"
		;;
	chain5)
		make_raw base.0 3M 1M 2000k || return 1
		qemu-img create -q -f qcow2 -b base.0 -F raw base.1 $size
		for i in 2 3 4 5; do
			fill $((i * 8)) qcow2 base.$((i - 1))
			qemu-img create -q -f qcow2 -b base.$((i - 1)) \
				-F qcow2 base.$i $size
		done
		echo "-b base.5 -F qcow2"
		;;
	esac
}

make_image() {
	local options=$1 backing='' word i
	shift
	for word; do
		case $word in
		back* | chain* | smallraw | smallqcow) backing=$(make_backing "$word") || return 1 ;;
		esac
	done
	# shellcheck disable=SC2086
	qemu-img create -q -f qcow2 -o "$options" $backing img $size ||
		return 1
	for word; do
		case $word in
		fill) fill 1 qcow2 img ;;
		small) fill_small 1 img ;;
		smalldirty)
			# With lazy refcounts: these are not written.
			(ulimit -c 0 && qio -f qcow2 \
				-c "write -P 9 300k 50k" -c flush \
				-c "write -P 9 800k 50k" -c abort img)
			! qemu-img check -q img 2>/dev/null
			;;
		smalldata) fill_small 1 img && truncate -s $size data ;;
		smallsnap)
			fill_small 1 img && qemu-img snapshot -c s1 img &&
				fill_small 20 img &&
				qemu-img snapshot -c s2 img &&
				fill_small 3 img
			;;
		smallbitmap)
			qemu-img bitmap --add img b0 && fill_small 1 img
			;;
		smallcompressed)
			rm -f img
			make_raw src $size 200k 500k &&
				qemu-img convert -c -f raw -O qcow2 \
					-o "$options" src img
			;;
		compressed)
			rm -f img
			make_raw src $size 2M 3000k &&
				fill 20 raw src &&
				qemu-img convert -c -f raw -O qcow2 \
					-o "$options" src img
			;;
		snap*)
			for i in $(seq "${word#snap}"); do
				fill $((i * 10)) qcow2 img &&
					qemu-img snapshot -c s$i img &&
					qemu-img convert -f qcow2 -O raw \
						-l snapshot.name=s$i img \
						snap.$i
			done
			fill 70 qcow2 img
			;;
		bitmap)
			fill 1 qcow2 img && qemu-img bitmap --add img b0 &&
				fill 30 qcow2 img
			;;
		esac || return 1
	done
}

# Whatever must hold when nobody has the image open.
inspect() {
	local out rc
	out=$(qemu-img check -f qcow2 img 2>&1)
	rc=$?
	# Bitmaps that lost their flag are leaked; the specification says so.
	case "$rc $1" in
	0\ * | 3\ *bitmap*) ;;
	*)
		echo "qemu-img check: $rc: $out"
		return 1
		;;
	esac
	if ! qemu-img compare -q -f qcow2 -F raw img model; then
		qemu-img compare -f qcow2 -F raw img model
		echo "qemu-img compare: img and model differ"
		return 1
	fi
	out=$("$bin/q2check" img model 2>&1)
	rc=$?
	case "$rc $1" in
	0\ * | 3\ *bitmap*) ;;
	*)
		echo "q2check: $rc: $out"
		return 1
		;;
	esac
	case $1 in
	*data_file_raw=on*)
		qemu-img compare -q -f raw -F raw data model || {
			echo "qemu-img compare: data and model differ"
			return 1
		}
		[ "$(stat -c %s data)" = "$(stat -c %s model)" ] || {
			stat -c '%n has %s bytes' data model
			return 1
		}
		;;
	esac
}

inspect_snapshots() {
	local i n
	for i in 1 2 3; do
		[ -e snap.$i ] || continue
		# QEMU converts it with the size of the active disk.
		qemu-img convert -f qcow2 -O raw -l snapshot.name=s$i img now ||
			return 1
		n=$(stat -c %s now snap.$i | sort -n | head -n 1)
		if ! cmp -s -n "$n" now snap.$i; then
			echo "snapshot s$i has changed"
			return 1
		fi
		"$bin/q2test" img snapshot=s$i model=snap.$i ops=60 || return 1
	done
}

run() {
	local options=$1 words=$2 args=$3 cmd i
	# shellcheck disable=SC2086
	make_image "$options" $words || return 2
	qemu-img convert -f qcow2 -O raw img model || return 2
	cp --sparse=always img img.start
	cp --sparse=always model model.start
	case $options in
	*data_file*) cp --sparse=always data data.start ;;
	esac
	for i in 0 1; do
		cmd="q2test img model=model seed=$((seed + i)) ops=$ops"
		cmd="$cmd cluster=$cluster $args"
		# shellcheck disable=SC2086
		timeout 60 "$bin"/$cmd || {
			echo "exit $? of: $cmd"
			return 1
		}
		inspect "$options $words" && inspect_snapshots || {
			echo "after: $cmd"
			return 1
		}
		# Now QEMU's turn; then ours again.
		[ $i = 1 ] && break
		if [ "$(wc -c <model)" -ge 4194304 ]; then
			fill 40 qcow2 img && fill 40 raw model || return 1
		fi
		inspect "$options $words" || {
			echo "after qemu-io wrote"
			return 1
		}
	done
}

# t OPTIONS WORDS [Q2TEST ARGUMENTS]: one case, if it is this worker's.
t() {
	local options=${1/DATA/data} rc
	number=$((number + 1))
	if [ -n "${Q2_ONLY:-}" ]; then
		[ "$number" = "$Q2_ONLY" ] || return 0
	elif [ $((number % (jobs * ${Q2_EVERY:-1}))) != "$worker" ]; then
		return 0
	fi
	seed=$((${Q2_SEED:-1} * 1000 + number))
	ops=${Q2_OPS:-300}
	cluster=${options##*cluster_size=}
	[ "$cluster" = "$options" ] && cluster=64k
	cluster=${cluster%%,*}
	mkdir "$dir/$number" && cd "$dir/$number" || exit 99
	run "$options" "$2" "${3:-}" >log 2>&1
	rc=$?
	case $rc in
	0) echo "PASS $number: -o $options: $2 ${3:-}" ;;
	2)
		echo "SKIP $number: -o $options: $2: not made"
		tail -n 3 log
		;;
	*)
		echo "FAIL $number: -o $options: $2 ${3:-}" \
			"(again: Q2_ONLY=$number Q2_SEED=${Q2_SEED:-1})"
		tail -n 11 log
		;;
	esac
	cd "$dir" || exit 99
	[ -n "${Q2_KEEP:-}" ] || rm -rf "${dir:?}/$number"
}
