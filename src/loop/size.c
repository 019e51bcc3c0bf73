/* Sizes as people write them. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loop/size.h"

static const char suffixes[] = "kMGTPE";

int size_parse(const char *text, uint64_t *bytes)
{
	unsigned long long value;
	const char *suffix;
	unsigned int shift = 0;
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno)
		return -ERANGE;
	if (*end) {
		int c = *end == 'k' || *end == 'K' ?
				'k' :
				toupper((unsigned char)*end);

		suffix = strchr(suffixes, c);
		if (!suffix || end[1])
			return -EINVAL;
		shift = 10 * (unsigned int)(suffix - suffixes + 1);
	}
	if (shift && value > UINT64_MAX >> shift)
		return -ERANGE;
	*bytes = (uint64_t)value << shift;
	return 0;
}

char *size_print(char *text, uint64_t bytes)
{
	unsigned int n = 0;

	while (bytes && suffixes[n] && !(bytes % 1024)) {
		bytes /= 1024;
		n++;
	}
	if (n)
		snprintf(text, SIZE_TEXT, "%" PRIu64 "%c", bytes,
			 suffixes[n - 1]);
	else
		snprintf(text, SIZE_TEXT, "%" PRIu64, bytes);
	return text;
}
