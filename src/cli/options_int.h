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
	KIND_ACTION,
};

struct option_spec {
	const char *name;
	char letter; /* 0: only long */
	enum kind kind;
	const char *arg; /* for --help; the words of a choice */
	size_t offset; /* in struct options */
	uint64_t least, most; /* or the action */
	const char *help;
};

/* options_table.c: all there are. */
extern const struct option_spec options_specs[];
extern const size_t options_specs_n;

/*
 * options_value.c: takes @value for @s into @o; 0, or EXIT_USAGE (logged). The
 * text must outlive @o.
 */
int options_set(struct options *o, const struct option_spec *s,
		const char *value);

#endif
