/* GETATTR and SETATTR: what is answered, who may change what. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "capture.h"
#include "driver.h"
#include "fake.h"
#include "fuse/ops.h"
#include "suites.h"

#define SIZE (1u << 20)

static struct fake *f;

static void start(bool read_only, bool allow_other)
{
	struct fake_config cfg = fake_config();

	cfg.read_only = read_only;
	cfg.session.allow_other = allow_other;
	f = fake_new(&cfg);
}

static void setup(void)
{
	capture_start();
	driver_install();
	start(false, true);
}

static void teardown(void)
{
	ck_assert_uint_eq(f->broken, 0);
	fake_free(f);
	driver_remove();
}

static void restart(bool read_only, bool allow_other)
{
	fake_free(f);
	start(read_only, allow_other);
}

static void restart_growable(void)
{
	struct fake_config cfg = fake_config();

	fake_free(f);
	cfg.growable = cfg.session.allow_other = true;
	f = fake_new(&cfg);
}

/* Checks what holds of every good answer. */
static struct fuse_attr attr_of(const struct fake_answer *a)
{
	struct fuse_attr_out out;

	ck_assert_int_eq(a->error, 0);
	ck_assert_uint_eq(a->len, sizeof(out));
	memcpy(&out, a->data, sizeof(out));
	ck_assert_uint_eq(out.attr.ino, FUSE_ROOT_NODE);
	ck_assert_uint_eq(out.attr.nlink, 1);
	ck_assert_uint_eq(out.attr.size, f->block->size);
	ck_assert(S_ISREG(out.attr.mode));
	return out.attr;
}

static struct fuse_attr get(enum fake_way way)
{
	return attr_of(fake_ask(f, way, FUSE_GETATTR, NULL,
				sizeof(struct fuse_getattr_in)));
}

static int set(enum fake_way way, const struct fuse_setattr_in *in)
{
	const struct fake_answer *a;

	a = fake_ask(f, way, FUSE_SETATTR, in, sizeof(*in));
	if (!a->error)
		attr_of(a);
	return a->error;
}

static int chmod_to(enum fake_way way, uint32_t mode)
{
	struct fuse_setattr_in in = { .valid = FATTR_MODE, .mode = mode };

	return set(way, &in);
}

static int chown_to(enum fake_way way, int64_t uid, int64_t gid)
{
	struct fuse_setattr_in in = { 0 };

	if (uid >= 0) {
		in.valid |= FATTR_UID;
		in.uid = (uint32_t)uid;
	}
	if (gid >= 0) {
		in.valid |= FATTR_GID;
		in.gid = (uint32_t)gid;
	}
	return set(way, &in);
}

START_TEST(first_attributes)
{
	struct fuse_attr a = get(_i);

	ck_assert_uint_eq(a.size, SIZE);
	ck_assert_uint_eq(a.mode, S_IFREG | 0600);
	ck_assert_uint_eq(a.uid, getuid());
	ck_assert_uint_eq(a.gid, getgid());
	ck_assert_uint_eq(a.blocks, DRIVER_BLOCKS);
	ck_assert_uint_eq(a.blksize, 4096);
	ck_assert_uint_eq(a.atime, DRIVER_ATIME);
	ck_assert_uint_eq(a.mtime, DRIVER_MTIME);
	ck_assert_uint_eq(a.ctime, DRIVER_CTIME);
	ck_assert_uint_eq(a.atimensec, DRIVER_ATIME);
	ck_assert_uint_eq(a.mtimensec, DRIVER_MTIME);
	ck_assert_uint_eq(a.ctimensec, DRIVER_CTIME);
	ck_assert_uint_eq(a.rdev, 0);
	ck_assert_uint_eq(a.flags, 0);
	/* Not more than the disk has; and none only if nothing can be there. */
	f->block->size = 5 * 512 + 1;
	ck_assert_uint_eq(get(_i).blocks, 6);
	f->block->size = SIZE;
	driver.no_blocks = true;
	ck_assert_uint_eq(get(_i).blocks, 0);
	f->session->writers = 1;
	ck_assert_uint_eq(get(_i).blocks, 1);
	restart(true, true);
	ck_assert_uint_eq(get(_i).mode, S_IFREG | 0400);
}
END_TEST

START_TEST(chmods)
{
	ck_assert_int_eq(chmod_to(_i, S_IFREG | 0644), 0);
	ck_assert_uint_eq(get(_i).mode, S_IFREG | 0644);
	ck_assert_int_eq(chmod_to(_i, 07777), 0);
	ck_assert_uint_eq(get(_i).mode, S_IFREG | 07777);
	/* The type is not for the caller to choose. */
	ck_assert_int_eq(chmod_to(_i, S_IFDIR | 0600), 0);
	ck_assert_uint_eq(get(_i).mode, S_IFREG | 0600);
	ck_assert_int_eq(chmod_to(_i, 0xffffffff), 0);
	ck_assert_uint_eq(get(_i).mode, S_IFREG | 07777);
}
END_TEST

/* Without allow_other the file is its owner's alone. */
START_TEST(chmods_alone)
{
	restart(false, false);
	ck_assert_int_eq(chmod_to(_i, 0400), 0);
	ck_assert_int_eq(chmod_to(_i, 0700), 0);
	ck_assert_int_eq(chmod_to(_i, 0640), -EPERM);
	ck_assert_int_eq(chmod_to(_i, 0604), -EPERM);
	ck_assert_int_eq(chmod_to(_i, 0601), -EPERM);
	ck_assert_uint_eq(get(_i).mode, S_IFREG | 0700);
}
END_TEST

START_TEST(chmods_read_only)
{
	restart(true, true);
	ck_assert_int_eq(chmod_to(_i, 0444), 0);
	ck_assert_int_eq(chmod_to(_i, 0600), -EROFS);
	ck_assert_int_eq(chmod_to(_i, 0420), -EROFS);
	ck_assert_int_eq(chmod_to(_i, 0402), -EROFS);
	ck_assert_uint_eq(get(_i).mode, S_IFREG | 0444);
}
END_TEST

START_TEST(chowns)
{
	ck_assert_int_eq(chown_to(_i, 1234, -1), 0);
	ck_assert_int_eq(chown_to(_i, -1, 5678), 0);
	ck_assert_uint_eq(get(_i).uid, 1234);
	ck_assert_uint_eq(get(_i).gid, 5678);
	restart(false, false);
	ck_assert_int_eq(chown_to(_i, getuid(), getgid()), 0);
	ck_assert_int_eq(chown_to(_i, getuid() + 1, -1), -EPERM);
	ck_assert_int_eq(chown_to(_i, -1, getgid() + 1), -EPERM);
	ck_assert_uint_eq(get(_i).uid, getuid());
	ck_assert_uint_eq(get(_i).gid, getgid());
}
END_TEST

/* One thing that is refused refuses all. */
START_TEST(all_or_nothing)
{
	struct fuse_setattr_in in = { .valid = FATTR_MODE | FATTR_SIZE |
					       FATTR_UID | FATTR_MTIME,
				      .mode = 0600,
				      .size = 4096,
				      .mtime = 9 };

	restart(false, false);
	in.uid = getuid() + 1;
	ck_assert_int_eq(set(_i, &in), -EPERM);
	ck_assert_uint_eq(get(_i).size, SIZE);
	ck_assert_uint_eq(get(_i).mtime, DRIVER_MTIME);
	/* The image refuses the size: nothing else changes. */
	restart_growable();
	driver.forced[BLOCK_TRUNCATE] = true;
	driver.result[BLOCK_TRUNCATE] = -EFBIG;
	in.mode = 0644;
	ck_assert_int_eq(set(_i, &in), -EFBIG);
	ck_assert_uint_eq(get(_i).mode, S_IFREG | 0600);
	ck_assert_uint_eq(get(_i).uid, getuid());
	ck_assert_uint_eq(get(_i).mtime, DRIVER_MTIME);
}
END_TEST

START_TEST(sets_times)
{
	struct fuse_setattr_in in = { .valid = FATTR_ATIME | FATTR_MTIME,
				      .atime = 11,
				      .atimensec = 12,
				      .mtime = 13,
				      .mtimensec = 14 };
	struct fuse_attr a;
	time_t now = time(NULL);

	ck_assert_int_eq(set(_i, &in), 0);
	a = get(_i);
	ck_assert_uint_eq(a.atime, 11);
	ck_assert_uint_eq(a.atimensec, 12);
	ck_assert_uint_eq(a.mtime, 13);
	ck_assert_uint_eq(a.mtimensec, 14);
	in.valid |= FATTR_ATIME_NOW | FATTR_MTIME_NOW;
	ck_assert_int_eq(set(_i, &in), 0);
	a = get(_i);
	ck_assert_uint_ge(a.atime, (uint64_t)now);
	ck_assert_uint_ge(a.mtime, (uint64_t)now);
	ck_assert_uint_lt(a.mtimensec, 1000000000);
	/* Only what is asked for changes. */
	in.valid = FATTR_ATIME;
	ck_assert_int_eq(set(_i, &in), 0);
	a = get(_i);
	ck_assert_uint_eq(a.atime, 11);
	ck_assert_uint_ge(a.mtime, (uint64_t)now);
}
END_TEST

/* A time set by hand holds until the contents change. */
START_TEST(write_ends_mtime)
{
	struct fuse_setattr_in in = { .valid = FATTR_MTIME | FATTR_ATIME,
				      .mtime = 13,
				      .atime = 14 };
	struct fuse_write_in w = { .size = 8 };
	struct fake_msg m = { .opcode = FUSE_WRITE,
			      .in = &w,
			      .in_len = sizeof(w),
			      .data_len = 8 };
	struct fuse_fallocate_in fa = { .length = 4096 };

	set(_i, &in);
	ck_assert_uint_eq(get(_i).mtime, 13);
	ck_assert_int_eq(fake_call(f, _i, &m)->error, 0);
	ck_assert_uint_eq(get(_i).mtime, DRIVER_MTIME);
	ck_assert_uint_eq(get(_i).atime, 14);
	set(_i, &in);
	fake_ask(f, _i, FUSE_FALLOCATE, &fa, sizeof(fa));
	ck_assert_uint_eq(get(_i).mtime, DRIVER_MTIME);
	set(_i, &in);
	in.valid = FATTR_SIZE;
	in.size = 2 * SIZE;
	set(_i, &in);
	ck_assert_uint_eq(get(_i).mtime, DRIVER_MTIME);
}
END_TEST

/* By ftruncate(2). */
static int truncate_to(enum fake_way way, uint64_t size)
{
	struct fuse_setattr_in in = { .valid = FATTR_SIZE | FATTR_FH,
				      .size = size };

	return set(way, &in);
}

static unsigned int sizes_told;

static void on_size(struct session *session)
{
	session->telling = true;
	sizes_told++;
}

static bool is_zeros(const uint8_t *at, size_t n)
{
	return !*at && !memcmp(at, at + 1, n - 1);
}

/* SETATTR of a size of 0, which empties a disk of fixed size. */
static int empty(enum fake_way way, uint32_t valid)
{
	struct fuse_setattr_in in = { .valid = FATTR_SIZE | valid };
	struct fuse_attr_out out;
	const struct fake_answer *a;

	memset(driver.mem, 7, driver.mem_size);
	f->session->on_size = on_size;
	sizes_told = 0;
	a = fake_ask(f, way, FUSE_SETATTR, &in, sizeof(in));
	if (a->error)
		return a->error;
	/* So the kernel drops its page cache, and asks for the true size. */
	ck_assert_uint_eq(a->len, sizeof(out));
	memcpy(&out, a->data, sizeof(out));
	ck_assert_uint_eq(out.attr.size, 0);
	ck_assert_uint_eq(out.attr_valid, 0);
	ck_assert_uint_eq(out.attr_valid_nsec, 0);
	ck_assert_uint_eq(sizes_told, 1);
	ck_assert_uint_eq(f->block->size, SIZE);
	ck_assert_uint_eq(get(way).size, SIZE);
	ck_assert(is_zeros(driver.mem, SIZE));
	ops_size_told(f->session);
	return 0;
}

START_TEST(o_trunc)
{
	ck_assert_int_eq(empty(_i, 0), 0);
	ck_assert_int_eq(driver.started[0]->type, BLOCK_STAT);
	ck_assert_int_eq(empty(_i, FATTR_FH), 0);
	restart(true, true);
	ck_assert_int_eq(empty(_i, 0), -EROFS);
	ck_assert(!is_zeros(driver.mem, SIZE));
}
END_TEST

/* By the next best way, if the image does not offer one. */
START_TEST(o_trunc_ways)
{
	driver.forced[BLOCK_DISCARD] = true;
	driver.result[BLOCK_DISCARD] = -EOPNOTSUPP;
	ck_assert_int_eq(empty(_i, 0), 0);
	driver.forced[BLOCK_ZERO] = true;
	driver.result[BLOCK_ZERO] = -EOPNOTSUPP;
	ck_assert_int_eq(empty(_i, 0), 0);
	/* In pieces of the request's payload. */
	ck_assert_int_eq(driver.last_type, BLOCK_STAT);
	ck_assert_uint_ge(driver.started_n, 64);
	driver.forced[BLOCK_WRITE] = true;
	driver.result[BLOCK_WRITE] = -EIO;
	ck_assert_int_eq(empty(_i, 0), -EIO);
	driver.result[BLOCK_WRITE] = 0;
	ck_assert_int_eq(empty(_i, 0), -EIO);
	/* The child that is then asked for drops the kernel's pages. */
	ck_assert_uint_eq(sizes_told, 1);
	ck_assert(f->session->stale);
	f->session->stale = false;
	driver.result[BLOCK_DISCARD] = -ENOSPC;
	ck_assert_int_eq(empty(_i, 0), -ENOSPC);
	ck_assert(f->session->stale);
	f->session->stale = false;
	driver.result[BLOCK_DISCARD] = -EPERM; /* before anything is done */
	ck_assert_int_eq(empty(_i, 0), -EPERM);
	ck_assert(!f->session->stale);
}
END_TEST

/* A large disk is emptied in steps, but not in very many. */
START_TEST(o_trunc_steps)
{
	static const uint64_t sizes[] = { 3ULL << 30, (5ULL << 40) + 1,
					  INT64_MAX };
	struct fuse_setattr_in in = { .valid = FATTR_SIZE };
	size_t i;

	for (i = 0; i < COUNT(sizes); i++) {
		f->block->size = sizes[i];
		f->block->stats.requests[BLOCK_DISCARD] = 0;
		ck_assert_int_eq(fake_ask(f, _i, FUSE_SETATTR, &in,
					  sizeof(in))->error,
				 0);
		ck_assert_uint_ge(f->block->stats.requests[BLOCK_DISCARD], 3);
		ck_assert_uint_le(f->block->stats.requests[BLOCK_DISCARD],
				  10000);
	}
}
END_TEST

/* Who closes the file then waits until the kernel knows its size. */
START_TEST(close_waits_for_size)
{
	struct fuse_setattr_in in = { .valid = FATTR_SIZE };
	struct fake_msg m = { .opcode = FUSE_FLUSH,
			      .in_len = sizeof(struct fuse_flush_in) };
	uint64_t one, two;

	f->session->on_size = on_size;
	fake_ask(f, _i, FUSE_SETATTR, &in, sizeof(in));
	one = fake_send(f, _i, &m);
	two = fake_send(f, _i, &m);
	fake_run(f);
	ck_assert_ptr_null(fake_find(f, one));
	ck_assert_ptr_null(fake_find(f, two));
	ck_assert_uint_eq(get(_i).size, SIZE);
	ops_size_told(f->session);
	fake_run(f);
	ck_assert_int_eq(fake_find(f, one)->error, 0);
	ck_assert_int_eq(fake_find(f, two)->error, 0);
	/* The end of the connection does not wait for them. */
	fake_ask(f, _i, FUSE_SETATTR, &in, sizeof(in));
	fake_send(f, _i, &m);
	fake_run(f);
	fake_end_all(f, -ENOTCONN);
	session_end(f->session);
	fake_run(f);
	ck_assert_uint_eq(f->ended, 1);
}
END_TEST

/* A disk of fixed size is cut only where nothing is. */
START_TEST(fixed_size)
{
	struct fuse_write_in w = { .offset = 100000, .size = 8 };
	struct fake_msg m = { .opcode = FUSE_WRITE,
			      .in = &w,
			      .in_len = sizeof(w),
			      .data_len = 8 };

	ck_assert_int_eq(truncate_to(_i, 4096), -EPERM);
	ck_assert_int_eq(truncate_to(_i, SIZE - 1), -EPERM);
	ck_assert_int_eq(empty(_i, 0), 0);
	ck_assert_int_eq(truncate_to(_i, 4096), 0);
	ck_assert_int_eq(fake_call(f, _i, &m)->error, 0);
	ck_assert_int_eq(truncate_to(_i, 100008), 0);
	ck_assert_int_eq(truncate_to(_i, 100007), -EPERM);
	ck_assert_uint_eq(f->block->size, SIZE);
	ck_assert_uint_eq(f->block->stats.requests[BLOCK_TRUNCATE], 0);
	/* One that failed half-way has not emptied it. */
	ck_assert_int_eq(empty(_i, 0), 0);
	driver.forced[BLOCK_DISCARD] = true;
	driver.result[BLOCK_DISCARD] = -EIO;
	ck_assert_int_eq(empty(_i, 0), -EIO);
	ck_assert_int_eq(truncate_to(_i, SIZE - 1), -EPERM);
}
END_TEST

static void open_and_close(enum fake_way way, uint32_t flags, bool close)
{
	struct fuse_open_in open = { .flags = flags };
	struct fuse_release_in release = { .flags = flags };

	if (close)
		fake_ask(f, way, FUSE_RELEASE, &release, sizeof(release));
	else
		fake_ask(f, way, FUSE_OPEN, &open, sizeof(open));
}

/* What is cut off may be kept by the kernel: it must drop that. */
static void cut_drops(enum fake_way way)
{
	struct fuse_setattr_in in = { .valid = FATTR_SIZE | FATTR_FH,
				      .size = 4096 };
	struct fuse_attr_out out;
	const struct fake_answer *a;

	f->session->on_size = on_size;
	sizes_told = 0;
	a = fake_ask(f, way, FUSE_SETATTR, &in, sizeof(in));
	ck_assert_int_eq(a->error, 0);
	memcpy(&out, a->data, sizeof(out));
	ck_assert_uint_eq(out.attr.size, 4096);
	ck_assert_uint_eq(out.attr_valid, 0);
	ck_assert_uint_eq(sizes_told, 1);
	ops_size_told(f->session);
	ck_assert_uint_eq(get(way).size, SIZE);
}

/* In a mapping, or in the writeback cache, there may be what has not come. */
START_TEST(fixed_size_unseen)
{
	struct fuse_setattr_in by_name = { .valid = FATTR_SIZE, .size = 4096 };
	bool writeback;

	ck_assert_int_eq(empty(_i, 0), 0);
	for (writeback = false;; writeback = true) {
		uint32_t other = writeback ? O_WRONLY : O_RDWR;

		f->session->writeback = writeback;
		open_and_close(_i, O_RDONLY, false);
		ck_assert_int_eq(truncate_to(_i, 4096), 0);
		open_and_close(_i, O_WRONLY, false);
		if (!writeback)
			ck_assert_int_eq(truncate_to(_i, 4096), 0);
		else
			cut_drops(_i);
		open_and_close(_i, other, false);
		ck_assert_int_eq(truncate_to(_i, 4096), -EPERM);
		ck_assert_int_eq(set(_i, &by_name), -EPERM);
		open_and_close(_i, O_WRONLY, true);
		cut_drops(_i);
		ck_assert_int_eq(set(_i, &by_name), -EPERM);
		open_and_close(_i, other, true);
		ck_assert_int_eq(set(_i, &by_name), 0);
		if (writeback)
			break;
	}
}
END_TEST

START_TEST(o_trunc_growable)
{
	struct fuse_setattr_in in = { .valid = FATTR_SIZE };

	restart_growable();
	driver.forced[BLOCK_TRUNCATE] = true;
	driver.result[BLOCK_TRUNCATE] = -EIO;
	ck_assert_int_eq(set(_i, &in), -EIO);
	ck_assert_uint_eq(f->block->size, SIZE);
	driver.forced[BLOCK_TRUNCATE] = false;
	ck_assert_int_eq(set(_i, &in), 0);
	ck_assert_uint_eq(f->block->size, 0);
}
END_TEST

START_TEST(truncates)
{
	static const uint64_t sizes[] = { 4096, 1, 0, 1ULL << 40, INT64_MAX };
	size_t i;

	restart_growable();
	for (i = 0; i < COUNT(sizes); i++) {
		ck_assert_int_eq(truncate_to(_i, sizes[i]), 0);
		ck_assert_uint_eq(f->block->size, sizes[i]);
		ck_assert_uint_eq(get(_i).size, sizes[i]);
	}
	ck_assert_int_eq(truncate_to(_i, 1ULL << 63), -EINVAL);
	ck_assert_int_eq(truncate_to(_i, -1ULL), -EINVAL);
	ck_assert_uint_eq(f->block->size, INT64_MAX);
	restart(true, true);
	ck_assert_int_eq(truncate_to(_i, 4096), -EROFS);
	ck_assert_int_eq(truncate_to(_i, SIZE), -EROFS);
}
END_TEST

/* The size it has already: nothing to do for the image. */
START_TEST(truncate_to_the_same)
{
	ck_assert_int_eq(truncate_to(_i, SIZE), 0);
	ck_assert_uint_eq(driver.started_n, 1);
	ck_assert_int_eq(driver.last_type, BLOCK_STAT);
}
END_TEST

static uint32_t mode_after_write(enum fake_way way, uint32_t mode,
				 uint32_t write_flags)
{
	struct fuse_write_in w = { .size = 8, .write_flags = write_flags };
	struct fake_msg m = { .opcode = FUSE_WRITE,
			      .in = &w,
			      .in_len = sizeof(w),
			      .data_len = 8 };

	chmod_to(way, mode);
	ck_assert_int_eq(fake_call(f, way, &m)->error, 0);
	return get(way).mode & 07777;
}

START_TEST(kills_suid)
{
	struct fuse_setattr_in in = { .valid = FATTR_KILL_SUIDGID };
	uint32_t kill = FUSE_WRITE_KILL_SUIDGID;

	ck_assert_uint_eq(mode_after_write(_i, 06755, 0), 06755);
	ck_assert_uint_eq(mode_after_write(_i, 06755, kill), 0755);
	/* Set-group-ID without group execution means something else. */
	ck_assert_uint_eq(mode_after_write(_i, 06745, kill), 02745);
	chmod_to(_i, 06755);
	ck_assert_int_eq(set(_i, &in), 0);
	ck_assert_uint_eq(get(_i).mode & 07777, 0755);
}
END_TEST

/* The least of everything has room for an answer and the statx behind it. */
START_TEST(least_payload)
{
	struct fake_config cfg = fake_config();

	fake_free(f);
	cfg.session.queue_depth = cfg.session.queues = 1;
	cfg.session.max_write = 4096;
	f = fake_new(&cfg);
	ck_assert_uint_eq(get(_i).blocks, DRIVER_BLOCKS);
	ck_assert_int_eq(truncate_to(_i, 2 * SIZE), 0);
	ck_assert_uint_eq(get(_i).size, 2 * SIZE);
}
END_TEST

START_TEST(nothing_valid)
{
	struct fuse_setattr_in in = { .valid = 0,
				      .mode = 0777,
				      .size = 1,
				      .uid = 9,
				      .gid = 9,
				      .mtime = 9 };
	struct fuse_attr a;

	ck_assert_int_eq(set(_i, &in), 0);
	a = get(_i);
	ck_assert_uint_eq(a.mode, S_IFREG | 0600);
	ck_assert_uint_eq(a.size, SIZE);
	ck_assert_uint_eq(a.uid, getuid());
	ck_assert_uint_eq(a.mtime, DRIVER_MTIME);
	in.valid = ~(FATTR_MODE | FATTR_UID | FATTR_GID | FATTR_SIZE |
		     FATTR_ATIME | FATTR_MTIME);
	ck_assert_int_eq(set(_i, &in), 0);
	ck_assert_uint_eq(get(_i).mode, S_IFREG | 0600);
}
END_TEST

Suite *suite_attr(void)
{
	TCase *tc;
	Suite *s = suite_of("attr", &tc);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, first_attributes, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, chmods, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, chmods_alone, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, chmods_read_only, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, chowns, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, all_or_nothing, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, sets_times, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, write_ends_mtime, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, truncates, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, o_trunc, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, o_trunc_growable, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, o_trunc_ways, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, o_trunc_steps, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, close_waits_for_size, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, fixed_size, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, fixed_size_unseen, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, truncate_to_the_same, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, kills_suid, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, least_payload, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, nothing_valid, 0, FAKE_WAYS);
	return s;
}
