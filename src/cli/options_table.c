/*
 * The table of options: it serves the long and short options, the words of -o
 * lists, and --help, which prints the options of a group in the order of this
 * table, and all of one line of text that it wraps itself.
 */
#include "config.h"

#include "cli/budget.h"
#include "cli/options_int.h"

#define AT(field) offsetof(struct options, field)
#define COMMON OPTION_COMMON
#define OPTIONAL OPTION_OPTIONAL

const struct option_spec options_specs[] = {
	/* The image. */
	{ "format", 0, KIND_WORD, GROUP_IMAGE, COMMON, "auto|raw|qcow2|null",
	  AT(format), 0, 0, "the format of the image (auto)" },
	{ "snapshot", 0, KIND_STRING, GROUP_IMAGE, COMMON, "NAME|ID",
	  AT(snapshot), 0, 0, "export this internal snapshot, read-only" },
	{ "growable", 0, KIND_FLAG, GROUP_IMAGE, COMMON, NULL, AT(growable), 0,
	  0, "a write past the end extends the image" },
	{ "untrusted", 0, KIND_FLAG, GROUP_IMAGE, COMMON, NULL, AT(untrusted),
	  0, 0,
	  "the image may be hostile: open no other file, and refuse an image "
	  "that is not plain" },
	{ "allow-files", 0, KIND_STRING, GROUP_IMAGE, 0, "DIR", AT(allow_files),
	  0, 0, "the image may refer to files beneath DIR only" },
	{ "backing", 0, KIND_CHOICE, GROUP_IMAGE, 0, "auto|off", AT(backing), 0,
	  0, "off: refuse an image that has a backing file or a data file" },
	{ "backing-format", 0, KIND_WORD, GROUP_IMAGE, 0, "raw|qcow2",
	  AT(backing_format), 0, 0,
	  "the format of backing files, where the image records none" },
	{ "no-lock", 0, KIND_FLAG, GROUP_IMAGE, OPTION_RISK, NULL, AT(no_lock),
	  0, 0,
	  "neither take nor honour the locks of QEMU's tools" },

	/* Who may do what. */
	{ "read-only", 'r', KIND_FLAG, GROUP_ACCESS, COMMON, NULL,
	  AT(read_only), 0, 0, "no write access; the file has mode 0400" },
	{ "allow-other", 0, KIND_CHOICE, GROUP_ACCESS, COMMON, "auto|on|off",
	  AT(allow_other), 0, 0,
	  "let chmod and chown give other users access (auto: where that is "
	  "permitted)" },
	{ "options", 'o', KIND_LIST, GROUP_ACCESS, COMMON, "LIST", 0, 0, 0,
	  "options as mount(8) writes them: ro,io_uring=on,..." },
	{ "fuse-socket", 0, KIND_STRING, GROUP_ACCESS, 0, "PATH",
	  AT(fuse_socket), 0, 0,
	  "serve the mount that this socket passes on, as rawfuse-mount does; "
	  "without MOUNTPOINT" },
	{ "fsname", 0, KIND_STRING, GROUP_ACCESS, 0, "NAME", AT(fsname), 0, 0,
	  "the source that mount(8) shows (the image)" },

	/* What is kept in memory, and for how long. */
	{ "cache", 0, KIND_CHOICE, GROUP_CACHE, COMMON, "auto|direct|host",
	  AT(cache), 0, 0,
	  "use the image by O_DIRECT or through the host's page cache (auto: "
	  "see the man page)" },
	{ "writeback-cache", 0, KIND_FLAG, GROUP_CACHE, COMMON, NULL,
	  AT(writeback_cache), 0, 0,
	  "the kernel keeps writes until fsync, close, or some seconds later" },
	{ "memory", 0, KIND_SIZE, GROUP_CACHE, COMMON, "SIZE", AT(memory),
	  BUDGET_LEAST, 1ULL << 40,
	  "limit of all memory; depth, sizes and caches follow from it (half "
	  "of the control group's limit)" },
	{ "writeback-interval", 0, KIND_NUMBER, GROUP_CACHE, 0, "SECONDS",
	  AT(writeback_interval), 0, 3600,
	  "a qcow2 image contains what was answered so long ago, also after "
	  "kill -9 (5; 0: before it is answered)" },
	{ "metadata-cache", 0, KIND_SIZE, GROUP_CACHE, 0, "SIZE",
	  AT(metadata_cache), 65536, 1ULL << 30,
	  "memory for the tables of a qcow2 image" },

	/* How fast, and at what cost. */
	{ "io-uring", 0, KIND_CHOICE, GROUP_SPEED, COMMON, "auto|on|off",
	  AT(io_uring), 0, 0,
	  "receive requests by io_uring (auto: or else by /dev/fuse)" },
	{ "passthrough", 0, KIND_CHOICE, GROUP_SPEED, COMMON, "off|auto|on",
	  AT(passthrough), 0, 0,
	  "the kernel itself reads and writes a raw image (off; auto: if the "
	  "export is read-only)" },
	{ "cpu", 0, KIND_STRING, GROUP_SPEED, 0, "auto|follow|any|LIST",
	  AT(cpu), 0, 0,
	  "where to run: with a client that waits for one request at a time "
	  "(auto, follow), anywhere, or on these CPUs, as 0-3,5" },
	{ "poll", 0, KIND_STRING, GROUP_SPEED, 0, "auto|off|MICROSECONDS",
	  AT(poll), 0, 0,
	  "how long to look for the next event before it sleeps" },
	{ "queue-depth", 0, KIND_NUMBER, GROUP_SPEED, 0, "N", AT(queue_depth),
	  1, 4096, "requests in flight for each CPU (64)" },
	{ "max-write", 0, KIND_SIZE, GROUP_SPEED, 0, "SIZE", AT(max_write),
	  4096, 1 << 24, "the largest request (1M)" },
	{ "buffer-pool", 0, KIND_AUTO_SIZE, GROUP_SPEED, 0, "auto|off|SIZE",
	  AT(buffer_pool), 4096, UINT32_MAX,
	  "memory for data, for each CPU (Linux 7.3; 32 requests)" },
	{ "zero-copy", 0, KIND_CHOICE, GROUP_SPEED, 0, "auto|on|off",
	  AT(zero_copy), 0, 0,
	  "move data between image and caller without copies (off; Linux 7.3, "
	  "as root; not for a file that the kernel itself uses)" },

	/* From the start to the end. */
	{ "foreground", 'f', KIND_FLAG, GROUP_LIFE, COMMON, NULL,
	  AT(foreground), 0, 0, "stay in the foreground" },
	{ "pidfile", 0, KIND_STRING, GROUP_LIFE, COMMON, "FILE", AT(pidfile), 0,
	  0, "write the process ID to FILE once the export is ready" },
	{ "replace", 0, KIND_CHOICE, GROUP_LIFE,
	  COMMON | OPTIONAL | OPTION_HIGHEST, "dead|live", AT(replace), 0, 0,
	  "detach what a killed rawfuse left at MOUNTPOINT; live: ask one that "
	  "is alive to end, and wait for it" },
	{ "wait", 0, KIND_ACTION, GROUP_LIFE, COMMON, "MOUNTPOINT|PIDFILE",
	  AT(wait), ACTION_WAIT, 0,
	  "wait until that export has ended; exit with its status" },
	{ "grace", 0, KIND_NUMBER, GROUP_LIFE, 0, "SECONDS", AT(grace), 0,
	  86400, "after SIGTERM, serve files that are still open so long (5)" },

	{ "log", 0, KIND_STRING, GROUP_LIFE, 0,
	  "stderr|syslog|journal|FILE", AT(log), 0, 0,
	  "where messages go (stderr; in the background syslog)" },
	{ "log-format", 0, KIND_CHOICE, GROUP_LIFE, 0, "text|json",
	  AT(log_format), 0, 0, "json: each message is an object" },

	/* What there is to know. */
	{ "status", 0, KIND_ACTION, GROUP_INFO, COMMON, "MOUNTPOINT",
	  AT(status), ACTION_STATUS, 0,
	  "show what is exported there and whether it is healthy (exit status: "
	  "0 healthy, 1 not, 3 nothing is exported)" },
	{ "stats", 0, KIND_STRING, GROUP_INFO, 0, "FILE", AT(stats), 0, 0,
	  "write counters to FILE, for Prometheus, while they change" },
	{ "json", 0, KIND_FLAG, GROUP_INFO, 0, NULL, AT(json), 0, 0,
	  "with --status: one JSON object" },
	{ "probe", 0, KIND_ACTION, GROUP_INFO, COMMON, NULL, 0, ACTION_PROBE, 0,
	  "show what this machine offers, and how to get the rest" },
	{ "help", 'h', KIND_ACTION, GROUP_INFO, COMMON | OPTIONAL, "common|all",
	  AT(help), ACTION_HELP, 0, "print this; all: every option" },
	{ "version", 'V', KIND_ACTION, GROUP_INFO, COMMON, NULL, 0,
	  ACTION_VERSION, 0, "print version and libraries" },
	{ "trace", 'd', KIND_TRACE, GROUP_INFO, 0, "LIST", AT(traces), 0, 0,
	  "log what happens in fuse, ring, block, life, or all, separated by "
	  "commas" },
	{ "dump-config", 0, KIND_ACTION, GROUP_INFO, 0, NULL, 0,
	  ACTION_DUMP_CONFIG, 0, "print what was built in, as key=value" },
};

#define SPECS (sizeof(options_specs) / sizeof(*options_specs))

_Static_assert(SPECS <= OPTIONS_MAX, "options.h has room for all");

const size_t options_specs_n = SPECS;
