/*
 * Edit distance with transpositions (optimal string alignment): three rows of
 * a table of fixed size. A word that is the beginning of a candidate is near,
 * too, as "dir" of "direct".
 */
#include "config.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/nearest.h"

#define FAR (NEAREST_MOST + 1)

static bool same(char a, char b)
{
	return a == b || (a == '_' && b == '-') || (a == '-' && b == '_');
}

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

static unsigned int distance(const char *a, size_t na, const char *b, size_t nb)
{
	unsigned int rows[3][NEAREST_MOST + 1];
	unsigned int *two = rows[0], *one = rows[1], *row = rows[2], *free_row;
	size_t i, j;

	for (j = 0; j <= nb; j++)
		row[j] = (unsigned int)j;
	for (i = 1; i <= na; i++) {
		free_row = two;
		two = one;
		one = row;
		row = free_row;
		row[0] = (unsigned int)i;
		for (j = 1; j <= nb; j++) {
			unsigned int cost = same(a[i - 1], b[j - 1]) ? 0 : 1;

			row[j] = least(one[j - 1] + cost,
				       least(one[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) &&
			    same(a[i - 2], b[j - 1]))
				row[j] = least(row[j], two[j - 2] + 1);
		}
	}
	return row[nb];
}

static bool begins(const char *a, size_t na, const char *b, size_t nb)
{
	size_t i;

	for (i = 0; i < na && i < nb; i++)
		if (!same(a[i], b[i]))
			return false;
	return na < nb;
}

void nearest_start(struct nearest *n, const char *word, size_t len)
{
	*n = (struct nearest){ .cost = FAR, .word = word, .len = len };
}

void nearest_offer(struct nearest *n, const char *candidate, size_t len)
{
	size_t longer = len > n->len ? len : n->len;
	unsigned int cost, most;

	if (!n->len || !len || longer > NEAREST_MOST)
		return;
	/*
	 * A third of the letters may be wrong; of two letters none, or "no"
	 * would be like "on".
	 */
	most = longer < 3 ? 0 : (unsigned int)longer / 3;
	cost = distance(n->word, n->len, candidate, len);
	if (n->len >= 3 && begins(n->word, n->len, candidate, len))
		cost = least(cost, 1);
	if (cost > most || cost >= n->cost)
		return;
	n->cost = cost;
	memcpy(n->best, candidate, len);
	n->best[len] = 0;
}

void nearest_offer_same(struct nearest *n, const char *candidate, size_t len)
{
	size_t i, j = 0;

	for (i = 0; i < n->len; i++) {
		if (n->word[i] == '-' || n->word[i] == '_')
			continue;
		while (j < len && candidate[j] == '-')
			j++;
		if (j == len || candidate[j++] != n->word[i])
			return;
	}
	if (j == len)
		nearest_offer(n, candidate, len);
}

void nearest_offer_words(struct nearest *n, const char *words)
{
	size_t len;

	for (;; words += len + 1) {
		len = strcspn(words, "|");
		nearest_offer(n, words, len);
		if (!words[len])
			break;
	}
}

const char *nearest_hint(struct nearest *n, const char *before)
{
	n->hint[0] = 0;
	if (n->best[0])
		snprintf(n->hint, sizeof(n->hint), "; did you mean '%s%s'?",
			 before, n->best);
	return n->hint;
}
