/*
 * The command line. What options there are is in options_table.c.
 *
 * In an -o list an option is written with '_' for '-', as mount(8)'s users
 * expect; ro, rw and the words that mean something only to mount(8) itself
 * are understood, too (words.c). Called as mount.fuse.rawfuse, the program
 * takes the arguments that mount(8) gives its helpers.
 */
#include "config.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "cli/nearest.h"
#include "cli/options_int.h"
#include "cli/words.h"
#include "fuse/passed.h"
#include "fuse/session.h"
#include "loop/cpu.h"
#include "loop/log.h"

static const struct option_spec *by_name(const char *name)
{
	size_t i;

	for (i = 0; i < options_specs_n; i++)
		if (!strcmp(options_specs[i].name, name))
			return &options_specs[i];
	return NULL;
}

/* The option @word, which may have '_' for '-', or NULL. */
static const struct option_spec *by_word(const char *word)
{
	const char *a, *b;
	size_t i;

	for (i = 0; i < options_specs_n; i++) {
		a = word;
		b = options_specs[i].name;
		while (*a && (*a == *b || (*a == '_' && *b == '-'))) {
			a++;
			b++;
		}
		if (!*a && !*b)
			return &options_specs[i];
	}
	return NULL;
}

bool options_said(const struct options *o, const char *name)
{
	return o->said[by_name(name) - options_specs];
}

static bool may_be_alone(const struct option_spec *s)
{
	return !s->arg || s->flags & OPTION_OPTIONAL;
}

/* SELinux contexts go to the kernel as they are, quotes and all. */
static int set_security(struct options *o, const char *word)
{
	size_t i;

	for (i = 0; i < SECURITY_MOST; i++) {
		if (o->security[i])
			continue;
		o->security[i] = word;
		return 0;
	}
	log_warnx("-o: '%s': too many SELinux contexts", word);
	return EXIT_USAGE;
}

/* One word of an -o list, cut off; its name may have '_' for '-'. */
static int set_word(struct options *o, char *word)
{
	const struct option_spec *s;
	char *value;

	if (!strcmp(word, "ro") || !strcmp(word, "rw"))
		return options_set(o, by_name("read-only"),
			   word[1] == 'o' ? "yes" : "no");
	if (!strcmp(word, "allow_other"))
		return options_set(o, by_name("allow-other"), "on");
	if (!strcmp(word, "nofail")) {
		o->nofail = true;
		return 0;
	}
	if (!strcmp(word, "remount") && o->as_helper) {
		o->action = ACTION_REMOUNT;
		return 0;
	}
	if (words_security(word))
		return set_security(o, word);
	if (words_mount(word, &o->mount_flags))
		return 0;
	value = strchr(word, '=');
	if (value)
		*value++ = 0;
	s = by_word(word);
	if (!s || s->kind == KIND_ACTION || s->kind == KIND_LIST)
		return options_wrong_word(word);
	if (value ? s->kind == KIND_FLAG : !may_be_alone(s)) {
		log_warnx("-o: '%s' %s", word,
			  value ? "has no value" : "requires a value");
		return EXIT_USAGE;
	}
	return options_set(o, s, value);
}

/*
 * An -o list; a comma behind a backslash does not divide, nor one in a value
 * that begins with a quotation mark.
 */
static int set_list(struct options *o, const char *list)
{
	size_t used = sizeof(char *);
	char *copy = malloc(used + strlen(list) + 1);
	char *word, *to, *from;
	int ret = 0;

	if (!copy) {
		log_warnx("-o: out of memory");
		return EXIT_FAILURE;
	}
	memcpy(copy, &o->lists, sizeof(char *)); /* all are freed at the end */
	o->lists = copy;
	from = strcpy(copy + used, list);
	while (*from && !ret) {
		bool quoted = false;

		for (word = to = from; *from && (quoted || *from != ',');
		     *to++ = *from++) {
			if (*from == '"')
				quoted = !quoted && to > word && to[-1] == '=';
			else if (from[0] == '\\' && from[1] == ',')
				from++;
		}
		if (*from)
			from++;
		*to = 0;
		if (*word)
			ret = set_word(o, word);
	}
	return ret;
}

static int one_option(struct options *o, const struct option_spec *s,
		      const char *arg)
{
	if (s->kind == KIND_LIST)
		return set_list(o, arg);
	return options_set(o, s, arg);
}

static void build_getopt(struct option *longs, char *shorts)
{
	size_t i;

	*shorts++ = ':'; /* tell a missing argument from a bad option */
	for (i = 0; i < options_specs_n; i++) {
		const struct option_spec *s = &options_specs[i];

		longs[i] = (struct option){
			s->name,
			!s->arg		  ? no_argument
			: may_be_alone(s) ? optional_argument
					  : required_argument,
			NULL, (int)(256 + i)
		};
		if (!s->letter)
			continue;
		*shorts++ = s->letter;
		if (!may_be_alone(s))
			*shorts++ = ':';
	}
	longs[i] = (struct option){ 0 };
	*shorts = 0;
}

static int parse_own(struct options *o, int argc, char **argv)
{
	struct option longs[OPTIONS_MAX + 1];
	char shorts[2 * OPTIONS_MAX + 2];
	size_t i;
	int c, ret;

	build_getopt(longs, shorts);
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		if (c == '?' || c == ':')
			return options_wrong(c, argv[optind - 1]);
		for (i = 0; i < options_specs_n; i++)
			if (c == (int)(256 + i) ||
			    (options_specs[i].letter && c == options_specs[i].letter))
				break;
		/* getopt takes "--no" for it, too. */
		if (options_specs[i].flags & OPTION_RISK &&
		    strcmp(argv[optind - 1] + 2, options_specs[i].name)) {
			optopt = 0;
			return options_wrong('?', argv[optind - 1]);
		}
		ret = one_option(o, &options_specs[i], optarg);
		if (ret)
			return ret;
	}
	return 0;
}

/*
 * As mount(8) calls its helpers: SPEC DIR [-sfnrwv] [-o LIST] [-t TYPE]. Not by
 * getopt(), which ends at SPEC with some C libraries.
 */
static int parse_helper(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "help", optional_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int c, ret = 0;

	while (!ret && (c = getopt_long(argc, argv, ":sfnrwvN:o:t:hV", longs,
					NULL)) != -1) {
		if (c == '?' || c == ':')
			ret = options_wrong(c, argv[optind - 1]);
		else if (c == 'o')
			ret = set_list(o, optarg);
		else if (c == 'r' || c == 'w')
			ret = options_set(o, by_name("read-only"),
					  c == 'r' ? "yes" : "no");
		else if (c == 'f')
			o->action = ACTION_FAKE;
		else if (c == 'h' || c == 'V')
			return options_set(o, by_name(c == 'h' ? "help" :
								  "version"),
					   optarg);
	}
	return ret;
}

static const char *hint(struct nearest *n, const char *value, const char *words)
{
	nearest_start(n, value, strlen(value));
	nearest_offer_words(n, words);
	return nearest_hint(n, "");
}

/* What the table alone cannot check. */
static int check_values(const struct options *o)
{
	enum cpu_mode mode;
	struct nearest n;

	if (o->max_write & 4095)
		log_warnx("--max-write: '%s' is not a multiple of 4096",
			  o->said[by_name("max-write") - options_specs]);
	else if (o->buffer_pool && o->buffer_pool < o->max_write)
		log_warnx("--buffer-pool: it is smaller than one request of "
			  "--max-write=%llu",
			  (unsigned long long)o->max_write);
	else if (cpu_parse(o->cpu, &mode, NULL))
		log_warnx("--cpu: '%s' is not one of auto, follow, any, and no "
			  "list of CPUs as 0-3,5%s",
			  o->cpu, hint(&n, o->cpu, "auto|follow|any"));
	else if (poll_parse(o->poll, NULL))
		log_warnx("--poll: '%s' is neither auto, off nor a number of "
			  "microseconds from 0 to %u%s",
			  o->poll, POLL_MOST, hint(&n, o->poll, "auto|off"));
	else
		return 0;
	return EXIT_USAGE;
}

/* Options of which each insists on what the other rules out. */
static int check_together(const struct options *o)
{
	const char *two = NULL;

	if (o->io_uring == URING_OFF && o->zero_copy == ZERO_COPY_ON)
		two = "--zero-copy=on and --io-uring=off";
	else if (o->io_uring == URING_OFF && !strcmp(o->cpu, "follow"))
		two = "--cpu=follow and --io-uring=off";
	else if (o->buffer_pool == BUFFER_POOL_OFF &&
		 o->zero_copy == ZERO_COPY_ON)
		two = "--zero-copy=on and --buffer-pool=off";
	else if (o->passthrough == PASSTHROUGH_ON && o->writeback_cache)
		two = "--passthrough=on and --writeback-cache";
	else if (options_said(o, "replace") && o->fuse_socket)
		two = "--replace and --fuse-socket";
	else if (options_said(o, "replace") && passed_number(o->mountpoint) >= 0)
		two = "--replace and the mountpoint /dev/fd/N";
	if (!two)
		return 0;
	log_warnx("%s exclude each other", two);
	return EXIT_USAGE;
}

int options_parse(struct options *o, int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');
	int ret;

	*o = (struct options){
		.format = "auto",
		.cpu = "auto",
		.poll = "auto",
		.zero_copy = ZERO_COPY_OFF,
		.queue_depth = 64,
		.max_write = 1 << 20,
		.grace = 5,
		.writeback_interval = 5,
	};
	opterr = 0;
	name = name ? name + 1 : argv[0];
	o->as_helper = !strncmp(name, "mount.", 6);
	if (o->as_helper)
		ret = parse_helper(o, argc, argv);
	else
		ret = parse_own(o, argc, argv);
	if (ret)
		return ret;
	/* "--status --json MOUNTPOINT": what getopt took for it is an option. */
	if (o->action == ACTION_STATUS && !strcmp(o->status, "--json") &&
	    argc - optind == 1) {
		o->json = true;
		o->status = argv[optind++];
	}
	if (o->json && o->action != ACTION_STATUS) {
		log_warnx("--json: it is for --status only");
		return EXIT_USAGE;
	}
	if (o->action != ACTION_EXPORT && o->action != ACTION_FAKE &&
	    o->action != ACTION_REMOUNT)
		return optind < argc ? options_wrong_surplus(argv[optind]) : 0;
	if (o->fuse_socket && argc - optind == 2) {
		log_warnx("--fuse-socket: MOUNTPOINT is what the socket's "
			  "owner mounts; give IMAGE alone, not %s",
			  argv[optind + 1]);
		return EXIT_USAGE;
	}
	if (argc - optind != (o->fuse_socket ? 1 : 2))
		return options_wrong_count(argc - optind, argv + optind);
	o->image = argv[optind];
	o->mountpoint = argv[optind + 1];
	ret = check_values(o);
	return ret ? ret : check_together(o);
}

void options_free(struct options *o)
{
	while (o->lists) {
		char *next;

		memcpy(&next, o->lists, sizeof(next));
		free(o->lists);
		o->lists = next;
	}
}
