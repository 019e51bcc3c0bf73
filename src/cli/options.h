/* The command line. */
#ifndef RAWFUSE_CLI_OPTIONS_H
#define RAWFUSE_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/budget.h"

#define EXIT_USAGE 2

enum action {
	ACTION_EXPORT,
	ACTION_FAKE, /* mount -f: everything but the mount */
	ACTION_HELP,
	ACTION_VERSION,
	ACTION_PROBE,
	ACTION_WAIT,
	ACTION_STATUS,
	ACTION_REMOUNT, /* of a mount that is there, for mount(8) */
	ACTION_DUMP_CONFIG,
};

#define SECURITY_MOST 4 /* context=, fscontext=, defcontext=, rootcontext= */
#define OPTIONS_MAX 64

/* The strings are argv's, or live as long as the options. */
struct options {
	enum action action;
	bool as_helper; /* called by mount(8), which has exit statuses of its own */
	const char *image, *mountpoint;
	bool read_only, foreground, growable, no_lock, writeback_cache;
	const char *format;
	const char *snapshot; /* qcow2: name or ID; NULL: the active disk */
	const char *backing_format; /* where the image records none */
	unsigned int backing; /* 0 auto, 1 off */
	bool untrusted;
	const char *allow_files; /* a directory, or NULL */
	uint64_t metadata_cache; /* bytes; 0: the driver's default */
	uint64_t memory; /* bytes; 0: no more than the control group has */
	struct budget budget; /* budget_fit()'s */
	unsigned int io_uring; /* enum uring_mode */
	unsigned int zero_copy; /* enum zero_copy_mode */
	uint64_t buffer_pool; /* bytes a queue; 0: auto, UINT64_MAX: off */
	unsigned int allow_other; /* enum mount_others */
	unsigned int cache; /* enum block_cache */
	unsigned int passthrough; /* enum passthrough */
	const char *cpu; /* for cpu_parse() */
	const char *poll; /* for poll_parse() */
	uint64_t queue_depth; /* entries a queue */
	uint64_t max_write; /* bytes */
	uint64_t grace; /* seconds */
	uint64_t writeback_interval; /* seconds; 0: before the answer */
	const char *pidfile;
	unsigned int replace; /* enum replace, if --replace was said */
	const char *wait; /* of ACTION_WAIT */
	const char *status; /* of ACTION_STATUS */
	bool json; /* for that */
	const char *stats; /* file, or NULL */
	unsigned int help; /* of ACTION_HELP: 1: all options */
	unsigned int traces; /* enum log_trace */
	const char *fuse_socket; /* which gives a mount; then no mountpoint */
	const char *log; /* for log_to(); NULL: its default */
	unsigned int log_format; /* enum log_format */
	const char *fsname; /* what mount(8) shows; NULL: the image */
	unsigned long mount_flags; /* MS_* */
	bool nofail; /* an image that is not there is no failure */
	const char *security[SECURITY_MOST]; /* SELinux: context=... */
	/* What was said of each option, to find two that disagree. */
	const char *said[OPTIONS_MAX];
	char *lists; /* the copies of -o lists; freed by options_free() */
};

/*
 * Reads the command line. Returns 0, or the exit status after a line that
 * says what is wrong.
 */
int options_parse(struct options *o, int argc, char **argv);
void options_free(struct options *o);

/* Was option @name (without "--") given? */
bool options_said(const struct options *o, const char *name);

/* options_help.c: prints --help, of the common options or of @all. */
void options_help(bool all);

#endif
