/*
 * The table of options: it serves the long and short options, the words of -o
 * lists, and --help.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "cli/budget.h"
#include "cli/options_int.h"

#define AT(field) offsetof(struct options, field)

const struct option_spec options_specs[] = {
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
	  "off: refuse an image that has a backing or a data file" },
	{ "untrusted", 0, KIND_FLAG, NULL, AT(untrusted), 0, 0,
	  "the image may be hostile: no other file, nothing but what is\n"
	  "plain" },
	{ "allow-files", 0, KIND_STRING, "DIR", AT(allow_files), 0, 0,
	  "other files that the image names must be beneath DIR" },
	{ "backing-format", 0, KIND_WORD, "raw|qcow2", AT(backing_format), 0, 0,
	  "of backing files whose format is not recorded" },
	{ "metadata-cache", 0, KIND_SIZE, "SIZE", AT(metadata_cache), 65536,
	  1ULL << 30, "for the tables of a qcow2 image" },
	{ "writeback-interval", 0, KIND_NUMBER, "SECONDS",
	  AT(writeback_interval), 0, 3600,
	  "a qcow2 image has what was answered so long ago, even after\n"
	  "kill -9 or a loss of power (5; 0: before it is answered)" },
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
	  "look so long for what comes next before going to sleep" },
	{ "queue-depth", 0, KIND_NUMBER, "N", AT(queue_depth), 1, 4096,
	  "requests in flight, a CPU (64)" },
	{ "max-write", 0, KIND_SIZE, "SIZE", AT(max_write), 4096, 1 << 24,
	  "largest request (1M)" },
	{ "memory", 0, KIND_SIZE, "SIZE", AT(memory), BUDGET_LEAST, 1ULL << 40,
	  "bound for all memory: depth, sizes and caches follow from it\n"
	  "(half of what the control group may have)" },
	{ "buffer-pool", 0, KIND_AUTO_SIZE, "auto|off|SIZE", AT(buffer_pool),
	  4096, UINT32_MAX, "memory for data, a CPU (Linux 7.3; 32 requests)" },
	{ "zero-copy", 0, KIND_CHOICE, "auto|on|off", AT(zero_copy), 0, 0,
	  "data between image and caller without copies (off; Linux 7.3,\n"
	  "as root; not for a file that the kernel itself uses)" },
	{ "pidfile", 0, KIND_STRING, "FILE", AT(pidfile), 0, 0,
	  "write the process ID there once the file can be used" },
	{ "grace", 0, KIND_NUMBER, "SECONDS", AT(grace), 0, 86400,
	  "after SIGTERM, serve files that are still open so long (5)" },
	{ "trace", 'd', KIND_TRACE, "LIST", AT(traces), 0, 0,
	  "tell of fuse, ring, block, life, or all; commas between" },
	{ "fsname", 0, KIND_STRING, "NAME", AT(fsname), 0, 0,
	  "what mount(8) shows for the source (the image)" },
	{ "wait", 0, KIND_ACTION, "MOUNTPOINT|PIDFILE", AT(wait), ACTION_WAIT, 0,
	  "wait until that export has ended; its exit status" },
	{ "probe", 0, KIND_ACTION, NULL, 0, ACTION_PROBE, 0,
	  "tell what this machine offers, and how to get the rest" },
	{ "dump-config", 0, KIND_ACTION, NULL, 0, ACTION_DUMP_CONFIG, 0,
	  "print what was built in, as key=value" },
	{ "version", 'V', KIND_ACTION, NULL, 0, ACTION_VERSION, 0,
	  "print version and libraries" },
	{ "help", 'h', KIND_ACTION, NULL, 0, ACTION_HELP, 0,
	  "print this" },
};

#define SPECS (sizeof(options_specs) / sizeof(*options_specs))

_Static_assert(SPECS <= OPTIONS_MAX, "options.h has room for all");

const size_t options_specs_n = SPECS;

void options_usage(void)
{
	size_t i;

	puts("Usage: rawfuse [OPTIONS] IMAGE MOUNTPOINT\n"
	     "\n"
	     "MOUNTPOINT, a file, then reads and writes the disk inside IMAGE;\n"
	     "umount MOUNTPOINT ends it. IMAGE is raw or qcow2, a file or a\n"
	     "block device; or null:size=SIZE, which stores nothing.\n");
	for (i = 0; i < SPECS; i++) {
		const struct option_spec *s = &options_specs[i];
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
