/* The insides of pidfiles: reading them, and finding that of a mountpoint. */
#ifndef RAWFUSE_CLI_RECORD_H
#define RAWFUSE_CLI_RECORD_H

#include <stdbool.h>

#define RECORD_MOST 512 /* bytes of one */
#define RECORD_ENDED "ended with status "

struct record {
	long pid; /* 0: it does not say */
	bool live; /* its process lives */
	bool ending; /* its mount is gone */
	bool ended; /* with this status: */
	int status;
	char why[RECORD_MOST];
};

/* Reads what is open as @fd; 0 or -EINVAL if that is no pidfile. */
int record_parse(int fd, struct record *r);

/* The same of @path, and whether it is live; 0 or -errno. */
int record_read(const char *path, struct record *r);

/*
 * The name of the record of the mountpoint @path (absolute), to be freed; NULL
 * if there is no place for such. If @make, that is made.
 */
char *record_name(const char *path, bool make);

/* Why exports of this user leave no record by mountpoint; NULL: they do. */
const char *record_no_place(void);

/*
 * Opens the pidfile @path, or the record of the mountpoint @path; a descriptor
 * or -errno: -ENOENT if there is neither, -ENODATA if something is, or may have
 * been, mounted there and has no record. The mount is not touched.
 */
int record_find(const char *path);

/* The process that serves @path, if its record tells; else 0. */
long record_server(const char *path);

#endif
