/* The words of mount(8) in an -o list. */
#ifndef RAWFUSE_CLI_WORDS_H
#define RAWFUSE_CLI_WORDS_H

#include <stdbool.h>

/*
 * Is @word one that mount(8) knows for every file system? Then it changes
 * @flags (MS_*) as the word says, which may be not at all.
 */
bool words_mount(const char *word, unsigned long *flags);

/* Is @word a SELinux context, which the kernel is given as it is? */
bool words_security(const char *word);

struct nearest;

/* Offers the words of mount(8), of which one may have been meant. */
void words_offer(struct nearest *n);

#endif
