/* Text of others, made fit to be printed: on a terminal, or in JSON. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "loop/text.h"

#define ESCAPE_MOST 7u /* bytes of the longest escape, and the final 0 */

size_t text_printable(const char *s)
{
	const unsigned char *u = (const unsigned char *)s;
	size_t n, i;

	if (u[0] < 0x80)
		return u[0] >= 0x20 && u[0] != 0x7f;
	n = u[0] >= 0xc2 && u[0] < 0xe0	  ? 2
	    : u[0] >= 0xe0 && u[0] < 0xf0 ? 3
	    : u[0] >= 0xf0 && u[0] < 0xf5 ? 4
					  : 0;
	for (i = 1; i < n; i++)
		if ((u[i] & 0xc0) != 0x80)
			return 0;
	if ((u[0] == 0xc2 && u[1] < 0xa0) || (u[0] == 0xe0 && u[1] < 0xa0) ||
	    (u[0] == 0xf0 && u[1] < 0x90)) /* C1; longer than need be */
		return 0;
	if ((u[0] == 0xed && u[1] >= 0xa0) || (u[0] == 0xf4 && u[1] >= 0x90))
		return 0; /* surrogates; past the last character */
	return n;
}

char *text_escape(char *to, size_t size, const char *from)
{
	size_t used = 0, n;

	for (; *from && used + 5 <= size; from += n) {
		n = text_printable(from);
		if (n) {
			memcpy(to + used, from, n);
			used += n;
			continue;
		}
		snprintf(to + used, 5, "\\x%02x", (unsigned char)*from);
		used += 4;
		n = 1;
	}
	to[used] = '\0';
	return to;
}

/* One character of @from as JSON has it, into @to; its bytes in @from. */
static size_t json_char(char to[ESCAPE_MOST], const char *from)
{
	unsigned char c = (unsigned char)*from;
	size_t n = text_printable(from);

	if (c == '"' || c == '\\')
		snprintf(to, ESCAPE_MOST, "\\%c", c);
	else if (n)
		snprintf(to, ESCAPE_MOST, "%.*s", (int)n, from);
	else if (c == 0xc2 && (from[1] & 0xe0) == 0x80) /* C1, as UTF-8 */
		snprintf(to, ESCAPE_MOST, "\\u%04x", from[1] & 0xffu);
	else
		snprintf(to, ESCAPE_MOST, "\\u%04x", c < 0x80 ? c : 0xfffdu);
	return n ? n : c == 0xc2 && (from[1] & 0xe0) == 0x80 ? 2 : 1;
}

char *text_json(char *to, size_t size, const char *from)
{
	char c[ESCAPE_MOST];
	size_t used = 0, len;

	to[used++] = '"';
	while (*from) {
		size_t n = json_char(c, from);

		len = strlen(c);
		if (used + len + 2 > size)
			break;
		memcpy(to + used, c, len);
		used += len;
		from += n;
	}
	to[used++] = '"';
	to[used] = '\0';
	return to;
}
