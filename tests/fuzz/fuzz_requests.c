/*
 * A sound image, damaged where the input says, and requests that the input
 * says. Without damage the image must be sound in the end, too.
 *
 * The input: a byte that chooses the image (of the files in the directory
 * $Q2_FUZZ_IMAGES), a byte with the number of damages (0-15); damages of 4
 * bytes (offset, 24 bits; what is xored); requests of 6 bytes (type and
 * flags; how the offset is meant; offset, 16 bits; length, 16 bits).
 */
#include "config.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "fuzz.h"
#include "memdisk.h"

#define MAX_IMAGES 64
#define MAX_REQUESTS 64

static struct qc_file images[MAX_IMAGES];
static unsigned int image_count;

static void load(const char *dir, const char *name)
{
	char path[4096];
	uint8_t *data;
	FILE *f;
	long size;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	if (!f)
		return;
	fseek(f, 0, SEEK_END);
	size = ftell(f);
	rewind(f);
	data = malloc((size_t)size + 1);
	if (data && fread(data, 1, (size_t)size, f) == (size_t)size)
		images[image_count++] =
			(struct qc_file){ data, (uint64_t)size };
	fclose(f);
}

static void load_all(void)
{
	const char *dir = getenv("Q2_FUZZ_IMAGES");
	struct dirent **names;
	int i, n = dir ? scandir(dir, &names, NULL, alphasort) : 0;

	for (i = 0; i < n; i++) {
		size_t len = strlen(names[i]->d_name);

		if (len > 6 && !strcmp(names[i]->d_name + len - 6, ".qcow2") &&
		    image_count < MAX_IMAGES)
			load(dir, names[i]->d_name);
		free(names[i]);
	}
	if (n > 0)
		free(names);
	if (image_count)
		return;
	fprintf(stderr, "fuzz_requests: no images in $Q2_FUZZ_IMAGES\n");
	exit(2);
}

static bool resolve(void *arg, const char *name, struct qc_file *file)
{
	unsigned int i;

	(void)arg;
	for (i = 0; i < memdisk.count; i++) {
		const struct memfile *f = &memdisk.files[i];
		const char *slash = strrchr(f->path, '/');

		if (strcmp(f->path, name) && strcmp(slash + 1, name))
			continue;
		file->data = f->data;
		file->size = f->size;
		return true;
	}
	return false;
}

static void must_be_sound(void)
{
	struct qc_report r = { .out = stderr };
	struct qc_file file;
	struct qc_image *img;
	const char *why;

	resolve(NULL, fuzz_image(), &file);
	img = qc_open(&file, "qcow2", resolve, NULL, &why);
	if (!img) {
		fprintf(stderr, "the image is not sound: %s\n", why);
		abort();
	}
	qc_check(img, &r);
	if (r.errors || r.refcount_errors || img->dirty) {
		fprintf(stderr, "the image is not sound\n");
		abort();
	}
	qc_close(img);
}

static struct fuzz_request decode(const struct block *b, const uint8_t *p)
{
	struct fuzz_request r = {
		.type = p[0] % BLOCK_TYPES,
		.flags = p[0] & 0x80 ? BLOCK_KEEP_SIZE : 0,
		.offset = p[2] | p[3] << 8,
		.length = p[4] | p[5] << 8,
	};

	if (p[1] & 1)
		r.offset *= 512;
	if (p[1] & 2)
		r.length = (r.length % 129) * 512;
	if (p[1] & 4)
		r.offset = b->size - r.offset % (b->size + 1);
	if (p[1] & 8)
		r.offset += b->size / 2;
	if (r.type == BLOCK_TRUNCATE)
		r.length = p[1] & 16 ? r.length * 64 : b->size + r.length;
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_request list[FUZZ_BATCH];
	const struct qc_file *image;
	unsigned int damages, n = 0, total = 0;
	bool damaged = false;
	uint8_t *copy;
	struct block *b;

	if (!image_count)
		load_all();
	if (size < 2)
		return 0;
	image = &images[data[0] % image_count];
	damages = data[1] % 16;
	copy = malloc(image->size);
	if (!copy)
		abort();
	memcpy(copy, image->data, image->size);
	for (data += 2, size -= 2; damages && size >= 4;
	     damages--, data += 4, size -= 4) {
		uint32_t at = data[0] | data[1] << 8 | data[2] << 16;

		copy[at % image->size] ^= data[3];
		damaged |= data[3] != 0;
	}
	b = fuzz_open(copy, image->size, size, size % 3 * 1024);
	free(copy);
	if (!b && !damaged) {
		fprintf(stderr, "a sound image does not open\n");
		abort();
	}
	if (!b)
		return 0;
	for (; size >= 6 && total < MAX_REQUESTS; data += 6, size -= 6) {
		list[n++] = decode(b, data);
		total++;
		if (n < FUZZ_BATCH && size >= 12)
			continue;
		fuzz_run(b, list, n);
		n = 0;
	}
	if (n)
		fuzz_run(b, list, n);
	if (block_close(b) && !damaged && !memdisk.outside) {
		fprintf(stderr, "a sound image does not close\n");
		abort();
	}
	if (!damaged)
		must_be_sound();
	return 0;
}
