/*
 * q2check IMAGE [RAW]: checks a qcow2 file with check.c, and compares what
 * the guest reads with a raw file. Exit code as qemu-img check: 0 fine, 2
 * errors, 3 leaks only; 1 could not be parsed; 4 the contents differ.
 */
#include "config.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static bool map_file(const char *path, struct qc_file *file)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *at = NULL;

	if (fd < 0)
		return false;
	if (fstat(fd, &st)) {
		close(fd);
		return false;
	}
	if (st.st_size)
		at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd,
			  0);
	close(fd);
	if (at == MAP_FAILED)
		return false;
	file->data = at;
	file->size = (uint64_t)st.st_size;
	return true;
}

/* Names are relative to the image that holds them; all lie in one place. */
static bool resolve(void *arg, const char *name, struct qc_file *file)
{
	const char *slash = strrchr(arg, '/');
	char path[4096];

	snprintf(path, sizeof(path), "%.*s%s",
		 *name == '/' || !slash ? 0 : (int)(slash + 1 - (char *)arg),
		 (char *)arg, name);
	return map_file(path, file);
}

static int compare(const struct qc_image *img, const struct qc_file *raw)
{
	static uint8_t buf[65536];
	uint64_t at, n, i;

	if (img->size != raw->size) {
		printf("the size is %" PRIu64 ", not %" PRIu64 "\n", img->size,
		       raw->size);
		return 4;
	}
	for (at = 0; at < img->size; at += n) {
		n = img->size - at < sizeof(buf) ? img->size - at : sizeof(buf);
		if (!qc_read(img, buf, n, at)) {
			printf("not readable in %" PRIu64 "+%" PRIu64 "\n", at,
			       n);
			return 4;
		}
		for (i = 0; i < n && buf[i] == raw->data[at + i]; i++)
			;
		if (i < n) {
			printf("differs at %" PRIu64 "\n", at + i);
			return 4;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct qc_report report = { .out = stdout };
	struct qc_file file, raw;
	struct qc_image *img;
	const char *why;
	int ret = 0;

	if (argc < 2 || !map_file(argv[1], &file) ||
	    (argc > 2 && !map_file(argv[2], &raw))) {
		fprintf(stderr, "usage: q2check IMAGE [RAW]\n");
		return 1;
	}
	img = qc_open(&file, "qcow2", resolve, argv[1], &why);
	if (!img) {
		printf("%s: %s\n", argv[1], why);
		return 1;
	}
	qc_check(img, &report);
	printf("%u errors, %u in refcounts, %u leaks%s\n", report.errors,
	       report.refcount_errors, report.leaks,
	       img->dirty ? ", dirty" : "");
	if (argc > 2)
		ret = compare(img, &raw);
	qc_close(img);
	if (report.errors || report.refcount_errors)
		return 2;
	return ret ? ret : report.leaks ? 3 : 0;
}
