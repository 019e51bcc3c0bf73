/* An image file for tests of the raw driver. */
#include "config.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image.h"
#include "node.h"

static int fd = -1;
static char path[64];

uint8_t image_byte(uint64_t offset)
{
	return (uint8_t)(offset * 7 + (offset >> 9) * 13 + 1);
}

/* In the build directory, which may offer O_DIRECT more likely than /tmp. */
int image_make(uint64_t size)
{
	char name[] = "unit-image-XXXXXX";
	uint8_t *bytes = malloc(size + 1);
	uint64_t i;

	fd = mkostemp(name, O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	unlink(name);
	ck_assert_ptr_nonnull(bytes);
	for (i = 0; i < size; i++)
		bytes[i] = image_byte(i);
	ck_assert_int_eq(pwrite(fd, bytes, size, 0), (ssize_t)size);
	free(bytes);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return fd;
}

const char *image_path(void)
{
	return path;
}

static bool has_io_uring(void)
{
	struct uring u;
	int ret = uring_init(&u, 8, 16);

	if (!ret)
		uring_exit(&u);
	return !ret;
}

/*
 * As the driver sees it. An alignment of 0 is a kernel that offers no direct
 * I/O on this file, or qemu-user, which hands statx() on without that field.
 */
static bool has_direct(void)
{
	int direct = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	struct statx stx;
	bool has = direct >= 0;

	if (has &&
	    !statx(direct, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) &&
	    stx.stx_mask & STATX_DIOALIGN)
		has = stx.stx_dio_offset_align && stx.stx_dio_mem_align;
	if (direct >= 0)
		close(direct);
	return has;
}

bool image_open(enum image_mode mode, bool growable)
{
	bool direct =
		mode == IMAGE_EMULATED_DIRECT || mode == IMAGE_RING_DIRECT;
	bool ring = mode == IMAGE_RING_HOST || mode == IMAGE_RING_DIRECT;
	struct block_options opt = { .path = path,
				     .format = "raw",
				     .growable = growable,
				     .cache = direct ? BLOCK_CACHE_DIRECT
						     : BLOCK_CACHE_HOST };

	if ((ring && !has_io_uring()) || (direct && !has_direct()))
		return false;
	node_open(&opt, ring);
	ck_assert_ptr_nonnull(node.block);
	ck_assert_int_eq(node.block->direct, direct);
	return true;
}

void image_check(const void *want, uint64_t len, uint64_t offset)
{
	uint8_t *is = malloc(len + 1);
	uint64_t i;

	ck_assert_ptr_nonnull(is);
	ck_assert_int_eq(pread(fd, is, len, (off_t)offset), (ssize_t)len);
	for (i = 0; memcmp(is, want, len) && i < len; i++)
		ck_assert_msg(is[i] == ((const uint8_t *)want)[i],
			      "at %llu: %u, not %u",
			      (unsigned long long)(offset + i), is[i],
			      ((const uint8_t *)want)[i]);
	free(is);
}

uint64_t image_size(void)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	return (uint64_t)st.st_size;
}

void image_done(void)
{
	if (node.block)
		ck_assert_int_eq(node_close(), 0);
	if (fd >= 0)
		close(fd);
	fd = -1;
}
