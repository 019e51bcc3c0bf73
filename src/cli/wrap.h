/* Text for a terminal of 80 columns. */
#ifndef RAWFUSE_CLI_WRAP_H
#define RAWFUSE_CLI_WRAP_H

#define WRAP_COLUMNS 80

/*
 * Prints @text and a newline on stdout, from column @left on, where the cursor
 * is: broken between words, each further line indented by @left.
 */
void wrap_print(const char *text, int left);

#endif
