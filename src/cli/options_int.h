/* The insides of the command line, for options*.c. */
#ifndef RAWFUSE_CLI_OPTIONS_INT_H
#define RAWFUSE_CLI_OPTIONS_INT_H

#include <stddef.h>

#include "cli/options.h"

enum kind {
	KIND_FLAG, /* a bool */
	KIND_STRING,
	KIND_WORD, /* a string: one of arg's words */
	KIND_CHOICE, /* an unsigned int: the index among arg's words */
	KIND_NUMBER, /* a uint64_t between least and most */
	KIND_SIZE, /* the same, with suffixes */
	KIND_AUTO_SIZE, /* the same; or auto, which is 0, or off, UINT64_MAX */
	KIND_TRACE, /* enum log_trace, or-ed */
	KIND_LIST, /* -o */
	KIND_ACTION, /* a string; with OPTION_OPTIONAL as KIND_CHOICE */
};

/* Where --help lists the option. */
enum group {
	GROUP_IMAGE,
	GROUP_ACCESS,
	GROUP_CACHE,
	GROUP_SPEED,
	GROUP_LIFE,
	GROUP_INFO, /* messages, reports, and what ends at once */
	GROUPS,
};

#define OPTION_COMMON 1u /* in the short --help, too */
#define OPTION_OPTIONAL 2u /* --name alone is --name=FIRST-WORD-OF-ARG */
#define OPTION_RISK 4u /* switches a protection off: never proposed for another */
#define OPTION_HIGHEST 8u /* given as several words: the last of arg's is valid */

struct option_spec {
	const char *name;
	char letter; /* 0: only long */
	enum kind kind;
	enum group group;
	unsigned int flags; /* OPTION_* */
	const char *arg; /* for --help; the words of a choice */
	size_t offset; /* in struct options */
	uint64_t least, most; /* or the action */
	const char *help; /* one line, that --help wraps */
};

/* options_table.c: all there are. */
extern const struct option_spec options_specs[];
extern const size_t options_specs_n;

/*
 * options_value.c: sets @s in @o to @value, or, if that is NULL, to what the
 * option alone means (not every option may be alone). Returns 0, or EXIT_USAGE
 * (logged). The text must outlive @o.
 */
int options_set(struct options *o, const struct option_spec *s,
		const char *value);

/* options_value.c: the index of @value among the words "a|b|c"; -1: none. */
int options_choice(const char *words, const char *value);
/* The same of @len bytes. */
int options_word(const char *words, const char *value, size_t len);

/*
 * options_wrong.c: each says what is wrong and returns EXIT_USAGE.
 * options_wrong(): @c, '?' or ':', is getopt's, of @arg.
 * options_wrong_word(): of an -o list. options_wrong_count(): @n is not 2.
 * options_wrong_surplus(): @operand, and there should be no more than one.
 */
int options_wrong(int c, const char *arg);
int options_wrong_word(const char *word);
int options_wrong_surplus(const char *operand);
int options_wrong_count(int n, char **operands);

#endif
