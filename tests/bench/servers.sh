# The contenders: what each is called, what it needs, how it starts and ends.
# Sourced by bench.sh. A contender starts on $image, of $format (raw, qcow2),
# and exports it at $point; its processes are then in pids. BACKEND is host
# (image in the page cache), direct (by O_DIRECT) or null (stores nothing).

all_contenders="image uring base dev qemu qemu-new qemu-new-mt nbdfuse libfuse \
libfuse-splice libfuse-1 libfuse-uring"

title() {
	case $1 in
	image) echo "the image itself" ;;
	uring) echo "rawfuse, io_uring" ;;
	base) echo "rawfuse, io_uring, of BENCH_BASE" ;;
	dev) echo "rawfuse, /dev/fuse" ;;
	qemu) echo "qemu-storage-daemon $(qemu_version qemu)" ;;
	qemu-new) echo "qemu-storage-daemon $(qemu_version qemu-new)" ;;
	qemu-new-mt)
		echo "qemu-storage-daemon $(qemu_version qemu-new)," \
			"$(nproc) iothreads"
		;;
	nbdfuse)
		echo "nbdfuse $(nbdfuse --version | sed -n \
			's/^nbdfuse //p'), nbdkit file"
		;;
	libfuse) echo "libfuse $libfuse_version, threads" ;;
	libfuse-splice) echo "libfuse $libfuse_version, threads, splice" ;;
	libfuse-1) echo "libfuse $libfuse_version, one thread" ;;
	libfuse-uring) echo "libfuse $(<"$peers/libfuse/version"), io_uring" ;;
	esac
}

# run_new PROGRAM ARGUMENT...: of $peers, with the libraries it came with.
run_new() {
	local lib=$peers/root/usr/lib/$(uname -m)-linux-gnu

	exec "$lib"/ld-linux-*.so.* --library-path "$lib" \
		"$peers/root/usr/bin/$1" "${@:2}"
}

qemu_version() {
	if [ "$1" = qemu ]; then
		qemu-storage-daemon --version
	else
		(run_new qemu-storage-daemon --version)
	fi | sed -n 's/^qemu-storage-daemon version \([0-9.]*\).*/\1/p'
}

# Builds the pass-through for what libfuse there is.
build_passthrough() {
	local out=$1

	shift
	${CC:-cc} -O2 -o "$out" "$here/passthrough.c" "$@" >"$dir/cc.log" 2>&1
}

build_helpers() {
	${CC:-cc} -O2 -o "$dir/helper" "$here/helper.c" || die "no C compiler"
	libfuse_version=$(pkg-config --modversion fuse3 2>/dev/null) || :
	# shellcheck disable=SC2046 # options
	[ -z "$libfuse_version" ] || build_passthrough "$dir/passthrough" \
		$(pkg-config --cflags --libs fuse3) || say "passthrough: no build"
	[ ! -e "$peers/libfuse/version" ] ||
		build_passthrough "$dir/passthrough-uring" \
			-I"$peers/libfuse/include/fuse3" \
			-L"$peers/libfuse/lib" -lfuse3 \
			-Wl,-rpath,"$peers/libfuse/lib" ||
		say "passthrough-uring: no build: $(tail -n 1 "$dir/cc.log")"
}

# missing CONTENDER: prints why it cannot run; nothing if it can.
missing() {
	case $1 in
	qemu)
		have qemu-storage-daemon || echo "no qemu-storage-daemon" \
			"(Debian: qemu-system-common)"
		;;
	qemu-new*)
		[ -x "$peers/root/usr/bin/qemu-storage-daemon" ] ||
			echo "not fetched (make bench-peers)"
		;;
	nbdfuse)
		have nbdkit && have nbdfuse || echo "no nbdkit or nbdfuse" \
			"(Debian: nbdkit, libnbd-bin)"
		;;
	libfuse-uring)
		if [ ! -x "$dir/passthrough-uring" ]; then
			echo "no libfuse with io_uring (make bench-peers)"
		elif [ "$(cat $uring_switch 2>/dev/null)" != Y ]; then
			echo "fuse.enable_uring is off"
		fi
		;;
	libfuse*)
		[ -x "$dir/passthrough" ] ||
			echo "no libfuse to build with (Debian: libfuse3-dev)"
		;;
	base)
		[ -x "${BENCH_BASE:-}" ] || echo "BENCH_BASE names no program"
		;;
	uring)
		[ "$(cat $uring_switch 2>/dev/null)" = Y ] ||
			echo "fuse.enable_uring is off"
		;;
	esac
}
uring_switch=/sys/module/fuse/parameters/enable_uring

# fits CONTENDER BACKEND: whether there is such a thing.
fits() {
	case $2:$1 in
	null:image | null:libfuse-splice) return 1 ;;
	# nbdkit's file plugin has no O_DIRECT; spliced pages are not aligned
	direct:nbdfuse | direct:libfuse-splice) return 1 ;;
	esac
}

# qemu_arguments CONTENDER BACKEND: sets arguments.
qemu_arguments() {
	local direct=off i threads=

	[ "$2" != direct ] || direct=on
	arguments=()
	if [ "$2" = null ]; then
		arguments+=(--blockdev "$(printf %s driver=null-co, \
			"node-name=r,read-zeroes=on,size=$(bytes "$size")")")
	else
		arguments+=(--blockdev "$(printf %s driver=file, \
			"node-name=f,filename=$image,cache.direct=$direct," \
			"aio=${BENCH_QEMU_AIO:-io_uring}")"
			--blockdev "driver=$format,node-name=r,file=f")
	fi
	if [ "$1" = qemu-new-mt ]; then
		for ((i = 0; i < $(nproc); i++)); do
			arguments+=(--object "iothread,id=t$i")
			threads+="${threads:+,}\"t$i\""
		done
		arguments+=(--export "{\"type\": \"fuse\", \"id\": \"e\",
			\"node-name\": \"r\", \"mountpoint\": \"$point\",
			\"writable\": true, \"iothread\": [$threads]}")
	else
		arguments+=(--export "$(printf %s type=fuse,id=e,node-name=r, \
			"mountpoint=$point,writable=on")")
	fi
}

# start_rawfuse CONTENDER BACKEND
start_rawfuse() {
	local how=on what=$image cache=$2 driver=$format program=$rawfuse

	[ "$1" != dev ] || how=off
	[ "$1" != base ] || program=$BENCH_BASE
	[ "$2" != null ] || what=null:size=$size cache=auto driver=null
	rm -f "$point.pid"
	# shellcheck disable=SC2086 # BENCH_RAWFUSE: options
	"$program" -f --io-uring=$how --cache="$cache" --format="$driver" \
		--pidfile="$point.pid" ${BENCH_RAWFUSE:-} "$what" "$point" \
		>"$dir/log" 2>&1 &
	pids+=($!)
}

# start_nbdfuse BACKEND
start_nbdfuse() {
	local plugin=(file "$image")

	[ "$1" != null ] || plugin=(null "size=$(bytes "$size")")
	rm -f "$dir/nbd"
	nbdkit -f -U "$dir/nbd" "${plugin[@]}" >"$dir/log" 2>&1 &
	pids+=($!)
	for ((i = 0; i < 100; i++)); do
		[ ! -S "$dir/nbd" ] || break
		sleep 0.05
	done
	nbdfuse "$point" "nbd+unix:///?socket=$dir/nbd" >>"$dir/log" 2>&1 &
	pids+=($!)
}

# start_libfuse CONTENDER BACKEND
start_libfuse() {
	local what=$image program=$dir/passthrough arguments=()

	[ "$2" != null ] || what=null:$(bytes "$size")
	[ "$2" != direct ] || arguments+=(-d)
	case $1 in
	*-1) arguments+=(-1) ;;
	*-splice) arguments+=(-s) ;;
	*-uring)
		program+=-uring
		arguments+=(-o io_uring,io_uring_q_depth=64)
		;;
	esac
	"$program" "${arguments[@]}" "$what" "$point" >"$dir/log" 2>&1 &
	pids+=($!)
}

# Waits until the export can be used; fails if a server ends before.
wait_ready() {
	local i

	for ((i = 0; i < 200; i++)); do
		kill -0 "${pids[@]}" 2>/dev/null || break
		case $1 in
		uring | base | dev) [ ! -s "$point.pid" ] || return 0 ;;
		*) ! is_mounted || return 0 ;;
		esac
		sleep 0.05
	done
	say "$1 does not start: $(tail -n 1 "$dir/log")"
	fact failed "$1 did not start: $(tail -n 1 "$dir/log")"
	kill "${pids[@]}" 2>/dev/null || :
	wait "${pids[@]}" 2>/dev/null || :
	! is_mounted || unmount
	pids=()
	return 1
}

# start_server CONTENDER BACKEND: sets pids and target, what fio works on.
start_server() {
	local arguments

	target=$point
	pids=()
	: >>"$point"
	case $1 in
	image)
		target=$image
		return 0
		;;
	qemu)
		qemu_arguments "$@"
		qemu-storage-daemon "${arguments[@]}" >"$dir/log" 2>&1 &
		pids+=($!)
		;;
	qemu-new*)
		qemu_arguments "$@"
		run_new qemu-storage-daemon "${arguments[@]}" \
			>"$dir/log" 2>&1 &
		pids+=($!)
		;;
	nbdfuse) start_nbdfuse "$2" ;;
	libfuse*) start_libfuse "$@" ;;
	*) start_rawfuse "$@" ;;
	esac
	wait_ready "$1"
}

# stop_server CONTENDER
stop_server() {
	local status=0

	[ ${#pids[@]} != 0 ] || return 0
	# qemu goes on without its export, and nbdkit without nbdfuse.
	case $1 in
	qemu*) kill "${pids[@]}" 2>/dev/null || : ;;
	*) ! is_mounted || unmount ;;
	esac
	[ "$1" != nbdfuse ] || kill "${pids[0]}" 2>/dev/null || :
	wait "${pids[@]}" || status=$?
	[ $status = 0 ] || say "$1: exit status $status"
	pids=()
	! is_mounted || unmount
}
