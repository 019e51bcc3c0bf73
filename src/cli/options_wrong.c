/* A command line that is wrong: one line says how, and what to do. */
#include "config.h"

#include <getopt.h>
#include <string.h>

#include "cli/nearest.h"
#include "cli/options_int.h"
#include "cli/words.h"
#include "loop/log.h"

#define SEE "; see rawfuse --help"

static void offer(struct nearest *n, const struct option_spec *s)
{
	if (s->flags & OPTION_RISK)
		nearest_offer_same(n, s->name, strlen(s->name));
	else
		nearest_offer(n, s->name, strlen(s->name));
}

/* As other programs call what is -f here. */
static bool means_foreground(const char *name, size_t len)
{
	static const char names[] =
		"no-fork|nofork|no-daemon|nodaemon|no-daemonize|no-detach|fg";

	return options_word(names, name, len) >= 0;
}

static int wrong_long(const char *name)
{
	struct nearest n;
	const char *how;
	size_t i;

	nearest_start(&n, name, strcspn(name, "="));
	for (i = 0; i < options_specs_n; i++)
		offer(&n, &options_specs[i]);
	how = n.best[0] ? nearest_hint(&n, "--") : SEE "=all";
	if (means_foreground(name, n.len))
		how = "; did you mean '-f'?";
	log_warnx("--%.*s: not an option of rawfuse%s", (int)n.len, name, how);
	return EXIT_USAGE;
}

int options_wrong(int c, const char *arg)
{
	/* Which it was is not in argv with every C library. */
	if (c == ':' && optopt >= 256)
		log_warnx("--%s: requires an argument" SEE,
			  options_specs[optopt - 256].name);
	else if (c == ':')
		log_warnx("-%c: requires an argument" SEE, optopt);
	else if (optopt >= 256)
		log_warnx("%s: this option has no value" SEE, arg);
	else if (optopt)
		log_warnx("-%c: not an option of rawfuse" SEE, optopt);
	else
		return wrong_long(arg + strspn(arg, "-"));
	return EXIT_USAGE;
}

int options_wrong_word(const char *word)
{
	struct nearest n;
	size_t i;
	char *c;

	nearest_start(&n, word, strlen(word));
	nearest_offer_words(&n, "ro|rw|remount");
	for (i = 0; i < options_specs_n; i++)
		if (options_specs[i].kind != KIND_ACTION &&
		    options_specs[i].kind != KIND_LIST)
			offer(&n, &options_specs[i]);
	words_offer(&n);
	for (c = n.best; *c; c++)
		if (*c == '-')
			*c = '_';
	log_warnx("-o: '%s' is not an option of rawfuse%s", word,
		  n.best[0] ? nearest_hint(&n, "") : SEE "=all");
	return EXIT_USAGE;
}

int options_wrong_surplus(const char *operand)
{
	if (!strcmp(operand, "all"))
		log_warnx("all: one argument too many; did you mean "
			  "'--help=all'?");
	else
		log_warnx("%s: one argument too many" SEE, operand);
	return EXIT_USAGE;
}

int options_wrong_count(int n, char **operands)
{
	static const char example[] = "rawfuse disk.qcow2 disk.raw";

	if (n > 2)
		log_warnx("%s: one argument too many; give IMAGE and "
			  "MOUNTPOINT, as in: %s",
			  operands[2], example);
	else if (n)
		log_warnx(
			"%s: MOUNTPOINT is missing, the file that becomes the "
			"disk, as in: %s",
			operands[0], example);
	else
		log_warnx("IMAGE and MOUNTPOINT are missing, as in: %s" SEE,
			  example);
	return EXIT_USAGE;
}
