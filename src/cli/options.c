/*
 * The command line: one table of options serves the long and short options,
 * the words of -o lists and --help.
 *
 * In an -o list an option is written with '_' for '-', as mount(8)'s users
 * expect; ro, rw and the words that mean something only to mount(8) itself
 * are understood, too (words.c). Called as mount.fuse.rawfuse, the program
 * takes the arguments that mount(8) gives its helpers.
 */
#include "config.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/options.h"
#include "cli/words.h"
#include "loop/cpu.h"
#include "loop/log.h"
#include "loop/size.h"

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

#define AT(field) offsetof(struct options, field)

static const struct option_spec specs[] = {
	{ "read-only", 'r', KIND_FLAG, NULL, AT(read_only), 0, 0,
	  "export without write access; the file has mode 0400" },
	{ "foreground", 'f', KIND_FLAG, NULL, AT(foreground), 0, 0,
	  "stay in the foreground, messages on stderr" },
	{ "options", 'o', KIND_LIST, "LIST", 0, 0, 0,
	  "options as mount(8) writes them: ro,io_uring=on,..." },
	{ "format", 0, KIND_WORD, "auto|raw|qcow2|null", AT(format), 0, 0,
	  "what the image is (auto)" },
	{ "snapshot", 0, KIND_STRING, "NAME|ID", AT(snapshot), 0, 0,
	  "export this internal snapshot, read-only" },
	{ "backing", 0, KIND_CHOICE, "auto|off", AT(backing), 0, 0,
	  "off: refuse an image that has a backing file" },
	{ "backing-format", 0, KIND_WORD, "raw|qcow2", AT(backing_format), 0, 0,
	  "of backing files whose format is not recorded" },
	{ "metadata-cache", 0, KIND_SIZE, "SIZE", AT(metadata_cache), 65536,
	  1ULL << 30, "for the tables of a qcow2 image" },
	{ "growable", 0, KIND_FLAG, NULL, AT(growable), 0, 0,
	  "a write past the end extends the image" },
	{ "cache", 0, KIND_CHOICE, "auto|direct|host", AT(cache), 0, 0,
	  "the image by O_DIRECT or the host's page cache (auto: direct\n"
	  "where the file system offers it)" },
	{ "writeback-cache", 0, KIND_FLAG, NULL, AT(writeback_cache), 0, 0,
	  "the kernel keeps writes until fsync, close, or some seconds" },
	{ "passthrough", 0, KIND_CHOICE, "off|auto|on", AT(passthrough), 0, 0,
	  "the kernel itself does a raw image's I/O (off; auto: if it\n"
	  "is exported read-only)" },
	{ "no-lock", 0, KIND_FLAG, NULL, AT(no_lock), 0, 0,
	  "neither take nor honour the locks of QEMU's tools" },
	{ "allow-other", 0, KIND_CHOICE, "auto|on|off", AT(allow_other), 0, 0,
	  "let chmod and chown give other users access (auto: where\n"
	  "that is permitted)" },
	{ "io-uring", 0, KIND_CHOICE, "auto|on|off", AT(io_uring), 0, 0,
	  "requests by io_uring (auto: or else by /dev/fuse)" },
	{ "cpu", 0, KIND_STRING, "auto|follow|any|LIST", AT(cpu), 0, 0,
	  "where to run: with a client that waits for one request at a\n"
	  "time (auto, follow), anywhere, or on these CPUs, as 0-3,5" },
	{ "poll", 0, KIND_STRING, "auto|off|MICROSECONDS", AT(poll), 0, 0,
	  "with requests in flight, look so long for what comes next\n"
	  "before going to sleep" },
	{ "queue-depth", 0, KIND_NUMBER, "N", AT(queue_depth), 1, 4096,
	  "requests in flight, a CPU (64)" },
	{ "max-write", 0, KIND_SIZE, "SIZE", AT(max_write), 4096, 1 << 24,
	  "largest request (1M)" },
	{ "buffer-pool", 0, KIND_AUTO_SIZE, "auto|off|SIZE", AT(buffer_pool),
	  4096, UINT32_MAX, "memory for data, a CPU (Linux 7.3; 32 requests)" },
	{ "zero-copy", 0, KIND_CHOICE, "auto|on|off", AT(zero_copy), 0, 0,
	  "data between image and caller without copies (Linux 7.3, as\n"
	  "root)" },
	{ "pidfile", 0, KIND_STRING, "FILE", AT(pidfile), 0, 0,
	  "write the process ID there once the file can be used" },
	{ "grace", 0, KIND_NUMBER, "SECONDS", AT(grace), 0, 86400,
	  "after SIGTERM, serve files that are still open so long (5)" },
	{ "trace", 'd', KIND_TRACE, "LIST", AT(traces), 0, 0,
	  "tell of fuse, ring, block, life, or all; commas between" },
	{ "fsname", 0, KIND_STRING, "NAME", AT(fsname), 0, 0,
	  "what mount(8) shows for the source (the image)" },
	{ "probe", 0, KIND_ACTION, NULL, 0, ACTION_PROBE, 0,
	  "tell what this machine offers, and how to get the rest" },
	{ "dump-config", 0, KIND_ACTION, NULL, 0, ACTION_DUMP_CONFIG, 0,
	  "print what was built in, as key=value" },
	{ "version", 'V', KIND_ACTION, NULL, 0, ACTION_VERSION, 0,
	  "print version and libraries" },
	{ "help", 'h', KIND_ACTION, NULL, 0, ACTION_HELP, 0,
	  "print this" },
};

#define SPECS (sizeof(specs) / sizeof(*specs))

_Static_assert(SPECS <= OPTIONS_MAX, "options.h has room for all");

void options_usage(void)
{
	size_t i;

	puts("Usage: rawfuse [OPTIONS] IMAGE MOUNTPOINT\n"
	     "\n"
	     "MOUNTPOINT, a file, then reads and writes the disk inside IMAGE;\n"
	     "umount MOUNTPOINT ends it. IMAGE is raw or qcow2, a file or a\n"
	     "block device; or null:size=SIZE, which stores nothing.\n");
	for (i = 0; i < SPECS; i++) {
		const struct option_spec *s = &specs[i];
		const char *help = s->help, *nl;
		char left[64];

		snprintf(left, sizeof(left), "  %c%c%s--%s%s%s",
			 s->letter ? '-' : ' ', s->letter ? s->letter : ' ',
			 s->letter ? ", " : "  ", s->name, s->arg ? "=" : "",
			 s->arg ? s->arg : "");
		if (strlen(left) > 32)
			printf("%s\n%34s", left, "");
		else
			printf("%-34s", left);
		while ((nl = strchr(help, '\n'))) {
			printf("%.*s\n%34s", (int)(nl - help), help, "");
			help = nl + 1;
		}
		puts(help);
	}
	puts("\nSizes take the suffixes k, M, G, T, P, E: powers of 1024.\n"
	     "Exit status: 0 done and all data flushed, 1 failed, 2 usage.");
}

static int bad_value(const struct option_spec *s, const char *value)
{
	switch (s->kind) {
	case KIND_NUMBER:
	case KIND_SIZE:
	case KIND_AUTO_SIZE:
		log_warnx("--%s: '%s' is not %s%s from %llu to %llu", s->name,
			  value,
			  s->kind == KIND_AUTO_SIZE ? "auto, off, or " : "",
			  s->kind == KIND_NUMBER ? "a number" : "a size",
			  (unsigned long long)s->least,
			  (unsigned long long)s->most);
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

/* The index of @value among "a|b|c"; -1 if it is none. */
static int find_choice(const char *words, const char *value)
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

static int set(struct options *o, const struct option_spec *s,
	       const char *value)
{
	void *field = (char *)o + s->offset;
	const char **said = &o->said[s - specs];
	uint64_t number;
	int choice;

	if (*said && strcmp(*said, value)) {
		log_warnx("--%s: given as '%s' and as '%s'; give it once",
			  s->name, *said, value);
		return EXIT_USAGE;
	}
	*said = value;
	switch (s->kind) {
	case KIND_FLAG:
		*(bool *)field = !strcmp(value, "yes");
		return 0;
	case KIND_WORD:
		if (find_choice(s->arg, value) < 0)
			return bad_value(s, value);
		*(const char **)field = value;
		return 0;
	case KIND_STRING:
		*(const char **)field = value;
		return 0;
	case KIND_CHOICE:
		choice = find_choice(s->arg, value);
		if (choice < 0)
			return bad_value(s, value);
		*(unsigned int *)field = (unsigned int)choice;
		return 0;
	case KIND_AUTO_SIZE:
		choice = find_choice("auto|off", value);
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
		return 0;
	default:
		return 0;
	}
}

static const struct option_spec *by_name(const char *name)
{
	size_t i;

	for (i = 0; i < SPECS; i++)
		if (!strcmp(specs[i].name, name))
			return &specs[i];
	return NULL;
}

/* One word of an -o list, cut off and with '_' for '-' in its name. */
static int set_word(struct options *o, char *word)
{
	const struct option_spec *s;
	char *value, *c;

	if (!strcmp(word, "ro") || !strcmp(word, "rw"))
		return set(o, by_name("read-only"),
			   word[1] == 'o' ? "yes" : "no");
	if (!strcmp(word, "allow_other"))
		return set(o, by_name("allow-other"), "on");
	if (words_mount(word, &o->mount_flags))
		return 0;
	value = strchr(word, '=');
	if (value)
		*value++ = 0;
	for (c = word; *c; c++)
		if (*c == '_')
			*c = '-';
	s = by_name(word);
	if (!s || s->kind == KIND_ACTION || s->kind == KIND_LIST) {
		log_warnx("-o: '%s' is not an option of rawfuse (--help tells)",
			  word);
		return EXIT_USAGE;
	}
	if (!value != (s->kind == KIND_FLAG)) {
		log_warnx("-o: '%s' %s", word,
			  value ? "takes no value" : "needs a value");
		return EXIT_USAGE;
	}
	return set(o, s, value ? value : "yes");
}

/* An -o list; a comma behind a backslash does not divide. */
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
		for (word = to = from; *from && *from != ','; *to++ = *from++)
			if (from[0] == '\\' && from[1] == ',')
				from++;
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
	return set(o, s, arg ? arg : "yes");
}

static void build_getopt(struct option *longs, char *shorts)
{
	size_t i;

	*shorts++ = ':'; /* tell a missing argument from a bad option */
	for (i = 0; i < SPECS; i++) {
		longs[i] = (struct option){
			specs[i].name,
			specs[i].arg ? required_argument : no_argument, NULL,
			(int)(256 + i)
		};
		if (!specs[i].letter)
			continue;
		*shorts++ = specs[i].letter;
		if (specs[i].arg)
			*shorts++ = ':';
	}
	longs[i] = (struct option){ 0 };
	*shorts = 0;
}

static int usage_error(int c, char **argv)
{
	const char *what = argv[optind - 1];

	if (c == ':')
		log_warnx("%s: needs an argument (--help tells)", what);
	else if (optopt && optopt < 256)
		log_warnx("-%c: not an option of rawfuse (--help tells)",
			  optopt);
	else
		log_warnx("%s: not understood (--help tells)", what);
	return EXIT_USAGE;
}

static int parse_own(struct options *o, int argc, char **argv)
{
	struct option longs[SPECS + 1];
	char shorts[2 * SPECS + 2];
	size_t i;
	int c, ret;

	build_getopt(longs, shorts);
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		if (c == '?' || c == ':')
			return usage_error(c, argv);
		for (i = 0; i < SPECS; i++)
			if (c == (int)(256 + i) ||
			    (specs[i].letter && c == specs[i].letter))
				break;
		ret = one_option(o, &specs[i], optarg);
		if (ret)
			return ret;
	}
	return 0;
}

/* As mount(8) calls its helpers: SPEC DIR [-sfnrwv] [-o LIST] [-t TYPE]. */
static int parse_helper(struct options *o, int argc, char **argv)
{
	int c, ret = 0;

	while (!ret && (c = getopt(argc, argv, ":sfnrwvN:o:t:")) != -1) {
		if (c == '?' || c == ':')
			ret = usage_error(c, argv);
		else if (c == 'o')
			ret = set_list(o, optarg);
		else if (c == 'r' || c == 'w')
			ret = set(o, by_name("read-only"),
				  c == 'r' ? "yes" : "no");
		else if (c == 'f')
			o->action = ACTION_FAKE;
	}
	return ret;
}

int options_parse(struct options *o, int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');
	enum cpu_mode mode;
	int ret;

	*o = (struct options){
		.format = "auto",
		.cpu = "auto",
		.poll = "auto",
		.queue_depth = 64,
		.max_write = 1 << 20,
		.grace = 5,
	};
	opterr = 0;
	name = name ? name + 1 : argv[0];
	if (!strncmp(name, "mount.", 6))
		ret = parse_helper(o, argc, argv);
	else
		ret = parse_own(o, argc, argv);
	if (ret)
		return ret;
	if (o->action != ACTION_EXPORT && o->action != ACTION_FAKE)
		return 0;
	if (argc - optind != 2) {
		log_warnx("%s: give IMAGE and MOUNTPOINT (--help tells)",
			  argc - optind < 2 ? "too few arguments" :
					      argv[optind + 2]);
		return EXIT_USAGE;
	}
	if (o->max_write & 4095) {
		log_warnx("--max-write: '%s' is not a multiple of 4096",
			  o->said[by_name("max-write") - specs]);
		return EXIT_USAGE;
	}
	if (o->buffer_pool && o->buffer_pool < o->max_write) {
		log_warnx("--buffer-pool: it is smaller than one request of "
			  "--max-write=%llu",
			  (unsigned long long)o->max_write);
		return EXIT_USAGE;
	}
	if (cpu_parse(o->cpu, &mode, NULL)) {
		log_warnx("--cpu: '%s' is not one of auto, follow, any, and no "
			  "list of CPUs as 0-3,5",
			  o->cpu);
		return EXIT_USAGE;
	}
	if (poll_parse(o->poll, NULL)) {
		log_warnx("--poll: '%s' is not one of auto, off, and no number "
			  "of microseconds up to %u",
			  o->poll, POLL_MOST);
		return EXIT_USAGE;
	}
	o->image = argv[optind];
	o->mountpoint = argv[optind + 1];
	return 0;
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
