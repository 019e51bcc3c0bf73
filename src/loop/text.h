/* Text of others, made fit to be printed: on a terminal, or in JSON. */
#ifndef RAWFUSE_LOOP_TEXT_H
#define RAWFUSE_LOOP_TEXT_H

#include <stddef.h>

/*
 * Bytes of the UTF-8 character at @s, which may be printed; 0 if the byte there
 * is to be escaped: a control character (C1 ones, too), or no UTF-8, in which
 * such a byte may be one.
 */
size_t text_printable(const char *s);

/*
 * Copies @from into @to of @size bytes, with \x1b for each byte that may not be
 * printed; what is too long is cut. Returns @to.
 */
char *text_escape(char *to, size_t size, const char *from);

/*
 * The same as a string of JSON, with its quotation marks: valid UTF-8 whatever
 * @from is; U+FFFD stands for each byte that is none.
 */
#define TEXT_JSON(len) (6 * (len) + 3) /* bytes for text of so many */
char *text_json(char *to, size_t size, const char *from);

#endif
