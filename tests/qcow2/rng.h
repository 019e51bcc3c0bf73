/* A seeded random source: the same seed, the same run, on every machine. */
#ifndef RAWFUSE_TESTS_RNG_H
#define RAWFUSE_TESTS_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct rng {
	uint64_t state;
};

/* splitmix64 */
static inline uint64_t rng_next(struct rng *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

/* 0 .. n - 1; 0 for n == 0. */
static inline uint64_t rng_below(struct rng *r, uint64_t n)
{
	return n ? rng_next(r) % n : 0;
}

/* True in @n of @of cases. */
static inline bool rng_chance(struct rng *r, unsigned int n, unsigned int of)
{
	return rng_below(r, of) < n;
}

static inline void rng_fill(struct rng *r, void *buf, size_t len)
{
	uint8_t *p = buf;
	uint64_t word;

	for (; len >= sizeof(word); len -= sizeof(word), p += sizeof(word)) {
		word = rng_next(r);
		memcpy(p, &word, sizeof(word));
	}
	word = rng_next(r);
	memcpy(p, &word, len);
}

#endif
