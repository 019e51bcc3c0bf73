#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model.h"

#define BUCKETS 65536u

static const uint8_t zeros[MODEL_PAGE];

static void *must(void *p)
{
	if (!p) {
		fprintf(stderr, "model: out of memory\n");
		exit(99);
	}
	return p;
}

int model_init(struct model *m, const char *path)
{
	struct stat st;

	*m = (struct model){ .fd = -1 };
	m->buckets = must(calloc(BUCKETS, sizeof(*m->buckets)));
	if (!path)
		return 0;
	m->fd = open(path, O_RDWR | O_CLOEXEC);
	if (m->fd < 0 || fstat(m->fd, &st))
		return -errno;
	m->size = m->file_size = (uint64_t)st.st_size;
	return 0;
}

void model_free(struct model *m)
{
	unsigned int i;

	for (i = 0; i < BUCKETS; i++) {
		struct model_page *page, *next;

		for (page = m->buckets[i]; page; page = next) {
			next = page->next;
			free(page->unknown);
			free(page);
		}
	}
	free(m->buckets);
	if (m->fd >= 0)
		close(m->fd);
}

static struct model_page **bucket(struct model *m, uint64_t number)
{
	return &m->buckets[(number ^ number >> 16) % BUCKETS];
}

static struct model_page *find(struct model *m, uint64_t number)
{
	struct model_page *page = *bucket(m, number);

	while (page && page->number != number)
		page = page->next;
	return page;
}

static void load(struct model *m, uint64_t number, uint8_t *data)
{
	uint64_t at = number * MODEL_PAGE;
	uint64_t len = MODEL_PAGE;
	ssize_t n = 0;

	if (at >= m->file_size)
		len = 0;
	else if (len > m->file_size - at)
		len = m->file_size - at;
	if (len)
		n = pread(m->fd, data, len, (off_t)at);
	if (n < 0) {
		perror("model: read");
		exit(99);
	}
	memset(data + n, 0, MODEL_PAGE - (size_t)n);
}

static struct model_page *get(struct model *m, uint64_t number)
{
	struct model_page *page = find(m, number);
	struct model_page **head = bucket(m, number);

	if (page)
		return page;
	page = must(calloc(1, sizeof(*page)));
	page->number = number;
	load(m, number, page->data);
	page->next = *head;
	*head = page;
	return page;
}

/* Cuts a range into pieces of pages. */
static uint32_t piece(uint64_t len, uint64_t offset)
{
	uint32_t room = MODEL_PAGE - (uint32_t)(offset % MODEL_PAGE);

	return len < room ? (uint32_t)len : room;
}

static void put(struct model *m, const uint8_t *buf, uint64_t len,
		uint64_t offset)
{
	while (len) {
		struct model_page *page = get(m, offset / MODEL_PAGE);
		uint32_t n = piece(len, offset);
		uint32_t at = offset % MODEL_PAGE;

		memcpy(page->data + at, buf ? buf : zeros, n);
		if (page->unknown)
			memset(page->unknown + at, 0, n);
		page->dirty = true;
		buf = buf ? buf + n : NULL;
		len -= n;
		offset += n;
	}
}

void model_write(struct model *m, const void *buf, uint64_t len,
		 uint64_t offset)
{
	put(m, buf, len, offset);
}

void model_zero(struct model *m, uint64_t len, uint64_t offset)
{
	put(m, NULL, len, offset);
}

void model_read(struct model *m, void *buf, uint64_t len, uint64_t offset)
{
	uint8_t *to = buf;

	while (len) {
		struct model_page *page = get(m, offset / MODEL_PAGE);
		uint32_t n = piece(len, offset);

		memcpy(to, page->data + offset % MODEL_PAGE, n);
		to += n;
		len -= n;
		offset += n;
	}
}

void model_forget(struct model *m, uint64_t len, uint64_t offset)
{
	while (len) {
		struct model_page *page = get(m, offset / MODEL_PAGE);
		uint32_t n = piece(len, offset);

		if (!page->unknown)
			page->unknown = must(calloc(1, MODEL_PAGE));
		memset(page->unknown + offset % MODEL_PAGE, 1, n);
		len -= n;
		offset += n;
	}
}

void model_truncate(struct model *m, uint64_t size)
{
	unsigned int i;

	for (i = 0; size < m->size && i < BUCKETS; i++) {
		struct model_page *page;

		for (page = m->buckets[i]; page; page = page->next) {
			uint64_t start = page->number * MODEL_PAGE;

			if (start + MODEL_PAGE > size)
				put(m, NULL,
				    piece(MODEL_PAGE,
					  start < size ? size : start),
				    start < size ? size : start);
		}
	}
	/* The page that the cut goes through may not be loaded yet. */
	if (size < m->size && size % MODEL_PAGE)
		put(m, NULL, piece(MODEL_PAGE, size), size);
	if (size < m->file_size)
		m->file_size = size;
	m->size = size;
}

static int64_t compare_piece(const struct model_page *page, uint32_t at,
			     const uint8_t *buf, uint32_t n)
{
	uint32_t i;

	if (!memcmp(page->data + at, buf, n))
		return -1;
	for (i = 0; i < n; i++)
		if (page->data[at + i] != buf[i] &&
		    !(page->unknown && page->unknown[at + i]))
			return i;
	return -1;
}

static int64_t compare(struct model *m, const uint8_t *buf, uint64_t len,
		       uint64_t offset)
{
	uint64_t start = offset;
	int64_t bad;

	while (len) {
		struct model_page *page = find(m, offset / MODEL_PAGE);
		uint32_t n = piece(len, offset);

		if (!page && (offset < m->file_size))
			page = get(m, offset / MODEL_PAGE);
		if (page) {
			bad = compare_piece(page, offset % MODEL_PAGE,
					    buf ? buf : zeros, n);
			if (bad >= 0)
				return (int64_t)(offset - start) + bad;
		} else if (buf && memcmp(buf, zeros, n)) {
			for (bad = 0; !buf[bad];)
				bad++;
			return (int64_t)(offset - start) + bad;
		}
		buf = buf ? buf + n : NULL;
		len -= n;
		offset += n;
	}
	return -1;
}

int64_t model_compare(struct model *m, const void *buf, uint64_t len,
		      uint64_t offset)
{
	return compare(m, buf, len, offset);
}

int64_t model_compare_zero(struct model *m, uint64_t len, uint64_t offset)
{
	return compare(m, NULL, len, offset);
}

void model_for_each(struct model *m,
		    void (*fn)(void *arg, const struct model_page *page),
		    void *arg)
{
	struct model_page *page;
	unsigned int i;

	for (i = 0; i < BUCKETS; i++)
		for (page = m->buckets[i]; page; page = page->next)
			fn(arg, page);
}

static void save_page(void *arg, const struct model_page *page)
{
	struct model *m = arg;
	uint64_t at = page->number * MODEL_PAGE;

	if (page->dirty && pwrite(m->fd, page->data, MODEL_PAGE, (off_t)at) !=
				   (ssize_t)MODEL_PAGE) {
		perror("model: write");
		exit(99);
	}
}

int model_save(struct model *m)
{
	/* What was cut off and came back is zeros. */
	if (ftruncate(m->fd, (off_t)m->file_size))
		return -errno;
	model_for_each(m, save_page, m);
	return ftruncate(m->fd, (off_t)m->size) ? -errno : 0;
}
