/* What stands behind an option: numbers, sizes, words, lists. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "cli/options_int.h"
#include "loop/log.h"
#include "loop/size.h"

static int bad_value(const struct option_spec *s, const char *value)
{
	switch (s->kind) {
	case KIND_NUMBER:
	case KIND_SIZE:
	case KIND_AUTO_SIZE:
		log_warnx("--%s: '%s' is not %s%s from %llu to %llu%s", s->name,
			  value,
			  s->kind == KIND_AUTO_SIZE ? "auto, off, or " : "",
			  s->kind == KIND_NUMBER ? "a number" : "a size",
			  (unsigned long long)s->least,
			  (unsigned long long)s->most,
			  s->kind == KIND_NUMBER ? "" : " bytes");
		break;
	case KIND_TRACE:
		log_warnx("--%s: '%s' is not one of fuse, ring, block, life, "
			  "all",
			  s->name, value);
		break;
	default:
		log_warnx("--%s: '%s' is not one of %s", s->name, value,
			  s->arg);
	}
	return EXIT_USAGE;
}

int options_choice(const char *words, const char *value)
{
	size_t len = strlen(value);
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

static int parse_traces(const char *list, unsigned int *traces)
{
	static const struct {
		const char *name;
		unsigned int bits;
	} names[] = {
		{ "fuse", TRACE_FUSE },	  { "ring", TRACE_RING },
		{ "block", TRACE_BLOCK }, { "life", TRACE_LIFE },
		{ "all", ~0u },
	};
	size_t i;

	if (!*list)
		return -1;
	while (*list) {
		size_t n = strcspn(list, ",+");

		for (i = 0; i < sizeof(names) / sizeof(*names); i++)
			if (strlen(names[i].name) == n &&
			    !strncmp(names[i].name, list, n))
				break;
		if (i == sizeof(names) / sizeof(*names))
			return -1;
		*traces |= names[i].bits;
		list += n + !!list[n];
	}
	return 0;
}

/* Alone, without @value, it is the first of the words. */
static int set_choice(const struct option_spec *s, unsigned int *field,
		      const char *value)
{
	int choice = value ? options_choice(s->arg, value) : 0;

	if (choice < 0)
		return bad_value(s, value);
	*field = (unsigned int)choice;
	return 0;
}

int options_set(struct options *o, const struct option_spec *s,
	       const char *value)
{
	void *field = (char *)o + s->offset;
	const char **said = &o->said[s - options_specs];
	uint64_t number;
	int choice;

	if (!value && s->kind == KIND_FLAG)
		value = "yes";
	if (*said && strcmp(*said, value ? value : "")) {
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
			return bad_value(s, value);
		*(const char **)field = value;
		return 0;
	case KIND_STRING:
		if (!*value) {
			log_warnx("--%s: needs a value that is not empty",
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
			return bad_value(s, value);
		*(uint64_t *)field = number;
		return 0;
	case KIND_TRACE:
		if (parse_traces(value, field))
			return bad_value(s, value);
		return 0;
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
