/* Which of some words a mistyped one was probably meant to be. */
#ifndef RAWFUSE_CLI_NEAREST_H
#define RAWFUSE_CLI_NEAREST_H

#include <stddef.h>

#define NEAREST_MOST 32 /* bytes; longer words are like none */

struct nearest {
	char best[NEAREST_MOST + 1]; /* "" until a word is near enough */
	char hint[NEAREST_MOST + 24];
	unsigned int cost; /* of the best; less is nearer */
	const char *word;
	size_t len;
};

/* Begins a search for the first @len bytes of @word, which must live on. */
void nearest_start(struct nearest *n, const char *word, size_t len);

/* Offers one candidate of @len bytes; '_' and '-' are alike. */
void nearest_offer(struct nearest *n, const char *candidate, size_t len);

/* The same, but only if nothing but '_' and '-' is different. */
void nearest_offer_same(struct nearest *n, const char *candidate, size_t len);

/* Offers each of the words "a|b|c". */
void nearest_offer_words(struct nearest *n, const char *words);

/* "; did you mean 'best'?", with @before in front of it; "" if none is near. */
const char *nearest_hint(struct nearest *n, const char *before);

#endif
