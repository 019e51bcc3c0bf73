/* What stands behind an option: numbers, sizes, words, lists. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "cli/nearest.h"
#include "cli/options_int.h"
#include "loop/log.h"
#include "loop/size.h"

/* @word of @value is not one of @words, "a|b|c". */
static int bad_word(const struct option_spec *s, const char *value,
		    const char *word, const char *words)
{
	struct nearest n;

	nearest_start(&n, word, strcspn(word, ",+"));
	nearest_offer_words(&n, words);
	if (s->kind == KIND_TRACE && n.len) /* the one word of a list */
		log_warnx("--%s: '%.*s' is not one of %s%s", s->name,
			  (int)n.len, word, words, nearest_hint(&n, ""));
	else
		log_warnx("--%s: '%s' is not one of %s%s", s->name, value,
			  words, nearest_hint(&n, ""));
	return EXIT_USAGE;
}

static int bad_number(const struct option_spec *s, const char *value)
{
	char least[SIZE_TEXT], most[SIZE_TEXT];

	if (s->kind == KIND_NUMBER)
		log_warnx("--%s: '%s' is not a number from %llu to %llu",
			  s->name, value, (unsigned long long)s->least,
			  (unsigned long long)s->most);
	else
		log_warnx("--%s: '%s' is not %sa size from %s to %s", s->name,
			  value,
			  s->kind == KIND_AUTO_SIZE ? "auto, off, or " : "",
			  size_print(least, s->least),
			  size_print(most, s->most));
	return EXIT_USAGE;
}

int options_choice(const char *words, const char *value)
{
	return options_word(words, value, strlen(value));
}

int options_word(const char *words, const char *value, size_t len)
{
	int i;

	for (i = 0; len; i++) {
		size_t n = strcspn(words, "|");

		if (n == len && !strncmp(words, value, n))
			return i;
		if (!words[n])
			break;
		words += n + 1;
	}
	return -1;
}

/* The words of --trace, in the order of their bits; then all. */
#define TRACES "fuse|ring|block|life|all"

/* Returns the first word of @list that is none of TRACES, or NULL. */
static const char *parse_traces(const char *list, unsigned int *traces)
{
	static const unsigned int bits[] = { TRACE_FUSE, TRACE_RING, TRACE_BLOCK,
					     TRACE_LIFE, ~0u };
	size_t len;

	do {
		char word[8] = "";
		int i;

		len = strcspn(list, ",+");
		if (len < sizeof(word))
			memcpy(word, list, len);
		i = options_choice(TRACES, word);
		if (i < 0)
			return list;
		*traces |= bits[i];
		list += len + !!list[len];
	} while (*list);
	return NULL;
}

/* Alone, without @value, it is the first of the words. */
static int set_choice(const struct option_spec *s, unsigned int *field,
		      const char *value)
{
	int choice = value ? options_choice(s->arg, value) : 0;

	if (choice < 0)
		return bad_word(s, value, value, s->arg);
	if (!(s->flags & OPTION_HIGHEST) || (unsigned int)choice > *field)
		*field = (unsigned int)choice;
	return 0;
}

int options_set(struct options *o, const struct option_spec *s,
	       const char *value)
{
	void *field = (char *)o + s->offset;
	const char **said = &o->said[s - options_specs];
	const char *bad;
	uint64_t number;
	int choice;

	if (!value && s->kind == KIND_FLAG)
		value = "yes";
	if (*said && !(s->flags & OPTION_HIGHEST) &&
	    strcmp(*said, value ? value : "")) {
		log_warnx("--%s: given as '%s' and as '%s'; give it once",
			  s->name, *said, value ? value : "");
		return EXIT_USAGE;
	}
	*said = value ? value : "";
	switch (s->kind) {
	case KIND_FLAG:
		*(bool *)field = !strcmp(value, "yes");
		return 0;
	case KIND_WORD:
		if (options_choice(s->arg, value) < 0)
			return bad_word(s, value, value, s->arg);
		*(const char **)field = value;
		return 0;
	case KIND_STRING:
		if (!*value) {
			log_warnx("--%s: requires a value that is not empty",
				  s->name);
			return EXIT_USAGE;
		}
		*(const char **)field = value;
		return 0;
	case KIND_CHOICE:
		return set_choice(s, field, value);
	case KIND_AUTO_SIZE:
		choice = options_choice("auto|off", value);
		if (choice >= 0) {
			*(uint64_t *)field = choice ? UINT64_MAX : 0;
			return 0;
		}
		/* fall through */
	case KIND_NUMBER:
	case KIND_SIZE:
		if (size_parse(value, &number) || number < s->least ||
		    number > s->most ||
		    (s->kind == KIND_NUMBER &&
		     value[strspn(value, "0123456789")]))
			return bad_number(s, value);
		*(uint64_t *)field = number;
		return 0;
	case KIND_TRACE:
		bad = parse_traces(value, field);
		return bad ? bad_word(s, value, bad, TRACES) : 0;
	case KIND_ACTION:
		o->action = (enum action)s->least;
		if (s->flags & OPTION_OPTIONAL)
			return set_choice(s, field, value);
		if (s->arg)
			*(const char **)field = value;
		return 0;
	default:
		return 0;
	}
}
