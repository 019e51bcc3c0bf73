/*
 * Any bytes as an image, opened for writing; what opens gets a few requests.
 * Nothing may crash, hang, or take memory without bound.
 */
#include "config.h"

#include "fuzz.h"
#include "rng.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rng rng = { size };
	struct fuzz_request list[FUZZ_BATCH];
	struct block *b;
	unsigned int i, round;

	if (size > 1 << 20)
		return 0;
	for (i = 0; i < size && i < 512; i++)
		rng.state = rng.state * 31 + data[i];
	b = fuzz_open(data, size, rng_next(&rng), rng_below(&rng, 3) * 2048);
	if (!b)
		return 0;
	for (round = 0; round < 4; round++) {
		for (i = 0; i < FUZZ_BATCH; i++) {
			uint64_t at = rng_below(&rng, b->size + 1);

			if (i % 2) /* where small images have something */
				at = rng_below(&rng, 65536);
			list[i] = (struct fuzz_request){
				.type = rng_below(&rng, BLOCK_TYPES),
				.flags = BLOCK_KEEP_SIZE,
				.offset = at,
				.length = 1 + rng_below(&rng, 20000),
			};
			if (list[i].type == BLOCK_TRUNCATE)
				list[i].length =
					b->size + list[i].length - 10000;
		}
		fuzz_run(b, list, FUZZ_BATCH);
	}
	block_close(b);
	return 0;
}
