/*
 * What a disk must read as: pages in memory over an optional raw file, bytes
 * whose content is not known (a write to them failed) marked as such.
 */
#ifndef RAWFUSE_TESTS_MODEL_H
#define RAWFUSE_TESTS_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#define MODEL_PAGE 4096u

struct model_page {
	struct model_page *next;
	uint64_t number;
	bool dirty;
	uint8_t data[MODEL_PAGE];
	uint8_t *unknown; /* one per byte; NULL: all is known */
};

struct model {
	uint64_t size; /* bytes */
	int fd; /* what is below the pages; or -1 for zeros */
	uint64_t file_size; /* what of it counts */
	struct model_page **buckets;
};

/*
 * @path may be NULL: zeros. Returns 0 or -errno. The size is the file's; the
 * caller sets it otherwise.
 */
int model_init(struct model *m, const char *path);
void model_free(struct model *m);

void model_write(struct model *m, const void *buf, uint64_t len,
		 uint64_t offset);
void model_zero(struct model *m, uint64_t len, uint64_t offset);
void model_read(struct model *m, void *buf, uint64_t len, uint64_t offset);
/* The range may read as anything until it is written again. */
void model_forget(struct model *m, uint64_t len, uint64_t offset);
/* What is cut off reads as zeros when it comes back. */
void model_truncate(struct model *m, uint64_t size);

/* The first byte that differs and is known, as an offset in @buf; or -1. */
int64_t model_compare(struct model *m, const void *buf, uint64_t len,
		      uint64_t offset);
/* The same against zeros. */
int64_t model_compare_zero(struct model *m, uint64_t len, uint64_t offset);

/* Calls @fn for every page in memory. */
void model_for_each(struct model *m,
		    void (*fn)(void *arg, const struct model_page *page),
		    void *arg);

/* Writes the pages into the file it was opened on. 0 or -errno. */
int model_save(struct model *m);

#endif
