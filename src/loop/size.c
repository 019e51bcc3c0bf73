/* Sizes as people write them. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loop/size.h"

int size_parse(const char *text, uint64_t *bytes)
{
	static const char suffixes[] = "kMGTPE";
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
