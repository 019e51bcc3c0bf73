/*
 * In libFuzzer's place, for machines without it: gives each file named (or
 * each in a directory named) to the target, and mutations of it, seeded:
 * replay [-N] FILE|DIRECTORY...; N mutations of each, 0 if not said.
 */
#include "config.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "rng.h"

static unsigned long runs;
static unsigned int mutations;

static void mutate(uint8_t *data, size_t size, struct rng *rng)
{
	static const uint8_t odd[] = { 0, 1, 0x7f, 0x80, 0xff };
	unsigned int i, n = 1 + (unsigned int)rng_below(rng, 6);
	size_t at;

	for (i = 0; i < n && size; i++) {
		/* Headers and tables are at the front. */
		at = rng_below(rng, rng_chance(rng, 1, 2) && size > 160 ? 160
									: size);
		if (rng_chance(rng, 1, 2))
			data[at] = odd[rng_below(rng, sizeof(odd))];
		else
			data[at] ^= (uint8_t)(1 << rng_below(rng, 8));
	}
}

static void replay(const char *path)
{
	FILE *f = fopen(path, "r");
	uint8_t *data, *copy;
	unsigned int i;
	long size;

	if (!f) {
		perror(path);
		exit(2);
	}
	fseek(f, 0, SEEK_END);
	size = ftell(f);
	rewind(f);
	data = malloc((size_t)size + 1);
	copy = malloc((size_t)size + 1);
	if (!data || !copy || fread(data, 1, (size_t)size, f) != (size_t)size)
		exit(2);
	fclose(f);
	fprintf(stderr, "replay: %s\n", path);
	for (i = 0; i <= mutations; i++) {
		struct rng rng = { i };

		memcpy(copy, data, (size_t)size);
		if (i)
			mutate(copy, (size_t)size, &rng);
		LLVMFuzzerTestOneInput(copy, (size_t)size);
		runs++;
	}
	free(data);
	free(copy);
}

int main(int argc, char **argv)
{
	int i, j, n;

	for (i = 1; i < argc; i++) {
		struct dirent **names;
		char path[4096];

		if (argv[i][0] == '-') {
			mutations = (unsigned int)atoi(argv[i] + 1);
			continue;
		}
		n = scandir(argv[i], &names, NULL, alphasort);
		if (n < 0)
			replay(argv[i]);
		for (j = 0; j < n; j++) {
			snprintf(path, sizeof(path), "%s/%s", argv[i],
				 names[j]->d_name);
			if (names[j]->d_name[0] != '.')
				replay(path);
			free(names[j]);
		}
		if (n >= 0)
			free(names);
	}
	printf("%lu runs\n", runs);
	return 0;
}
