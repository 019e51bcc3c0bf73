# Random operations of all kinds against a model; neighbours in one block.
# MODEL_SEEDS, MODEL_OPERATIONS and MODEL_NEIGHBOURS make it longer.
. "$abs_top_srcdir/tests/integration/lib.sh"

image=$dir/disk.img
file=$dir/disk.raw

# random SEED SIZE MOST OPTION...
random() {
	local seed=$1 size=$2 most=$3 grow=
	shift 3
	[[ " $* " == *" --growable "* ]] && grow=-g
	make_image disk.img "$size"
	mount_rawfuse "$@" "$image" "$file"
	"$helpers/model" run $grow $model_options -s "$seed" -n "${MODEL_OPERATIONS:-1200}" \
		-m "$most" "$file" "$dir/copy" || fail "seed $seed, $*"
	unmount_rawfuse "$file"
	cmp "$image" "$dir/copy" || fail "the image is not the model: seed $seed, $*"
}

randoms() {
	local seed cache
	for seed in ${MODEL_SEEDS:-11 12}; do
		for cache in direct host; do
			random "$seed" 3000001 3500000 --cache=$cache
			random "$seed" 1234567 4000000 --cache=$cache --growable
		done
		random "$seed" 65537 600000 --growable --queue-depth=1 --max-write=4k
		random "$seed" 513 100000 --growable --cache=direct
	done
}

neighbours() {
	local seed cache
	for seed in ${MODEL_SEEDS:-21 22 23}; do
		for cache in direct host; do
			rm -f "$image"
			truncate -s 1000000 "$image"
			mount_rawfuse --cache=$cache "$image" "$file"
			"$helpers/model" neighbours -s "$seed" -n "${MODEL_NEIGHBOURS:-250}" "$file" "$dir/copy" ||
				fail "seed $seed, $cache"
			report
			unmount_rawfuse "$file"
			cmp "$image" "$dir/copy" ||
				fail "the image is not the model: seed $seed, $cache"
		done
	done
}

require_tool cmp
each_transport randoms
each_transport neighbours
finish
