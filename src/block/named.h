/* Files that an image names: which may be opened, and how. */
#ifndef RAWFUSE_BLOCK_NAMED_H
#define RAWFUSE_BLOCK_NAMED_H

#include <sys/stat.h>

struct block_options;

/* A directory beneath which the named files must be. */
struct named_dir {
	int fd;
	char *path; /* absolute, without links */
};

/* Opens it; 0 or -errno (logged), also if this kernel cannot do it. */
int named_allow(struct named_dir *d, const char *path);
void named_free(struct named_dir *d);

/*
 * The path of the file that the image of @opt calls @name, in new memory; NULL
 * with errno. Where a directory is set it is absolute, and without "..".
 */
char *named_path(const struct block_options *opt, const char *name);

/*
 * open(2) and stat(2) of opt->path: from beneath the directory if an image
 * named it and there is one. EXDEV: it is not there, or a link leads out.
 */
int named_open(const struct block_options *opt, int flags);
int named_stat(const struct block_options *opt, struct stat *st);

#endif
