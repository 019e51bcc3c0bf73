/* Text for a terminal of 80 columns. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "cli/wrap.h"

void wrap_print(const char *text, int left)
{
	const size_t room = (size_t)(WRAP_COLUMNS - left);

	while (strlen(text) > room) {
		size_t n = room;

		while (n && text[n] != ' ')
			n--;
		if (!n)
			n = room; /* a word that is longer than the line */
		printf("%.*s\n%*s", (int)n, text, left, "");
		text += n;
		text += strspn(text, " ");
	}
	puts(text);
}
