/*
 * q2hostile [CASE]: images that were made to cost their owner's host time,
 * memory or disk, or to change under it. In memory; what is measured is counted
 * (bytes that are read).
 *
 * Exit code: 0 fine, 1 not.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block/qcow2/qcow2.h"
#include "check.h"
#include "maker.h"

static struct uring ring;
static unsigned int bad;

static uint64_t read_bytes, reads_of_it, it;

#define EXPECT(what)                                                       \
	do {                                                               \
		if (!(what)) {                                             \
			printf("WRONG: %s: line %d: %s\n", __func__,       \
			       __LINE__, #what);                           \
			bad++;                                             \
		}                                                          \
	} while (0)

static struct block *open_image(void)
{
	struct block_options opt = { .path = "img", .format = "qcow2" };

	return block_open(&ring, &opt);
}

static void count_reads(struct memfile *f, const struct block_req *req)
{
	(void)f;
	if (req->type != BLOCK_READ)
		return;
	read_bytes += req->length;
	reads_of_it += req->offset == it;
}

/* The image has no error that the checker would see. */
static bool is_sound(void)
{
	struct qc_file file = { memdisk.files[0].data, memdisk.files[0].size };
	struct qc_report r = { .out = stdout };
	const char *why;
	struct qc_image *img = qc_open(&file, "qcow2", NULL, NULL, &why);

	if (!img)
		return false;
	qc_check(img, &r);
	qc_close(img);
	return !r.errors && !r.refcount_errors;
}

/* An entry that lies outside of the file, once it has been counted. */
static void change_entry(struct memfile *f, const struct block_req *req)
{
	const uint64_t far = htobe64(MAKER_COPIED | 0x7fffffff0000ULL);

	if (req->type == BLOCK_READ && req->offset == it && ++reads_of_it == 2)
		memfile_write(f, &far, sizeof(far), it + 8);
}

static void repair_race(void)
{
	struct maker m = maker_begin(16, 1ULL << 30, 2, QCOW2_INCOMPAT_DIRTY);
	struct block *b;

	maker_put64(&m, m.l1, m.first | MAKER_COPIED);
	maker_put64(&m, m.first, m.first + m.cluster); /* COPIED is missing */
	maker_end(&m, 6);
	it = m.first;
	memdisk.watch = change_entry;
	b = open_image();
	EXPECT(!b);
	EXPECT(reads_of_it == 2);
	block_close(b);
}

/* 1000 L2 tables of 64 KiB, all of them holes. */
static void repair_holes(void)
{
	struct maker m = maker_begin(16, 500ULL << 30, 1000,
				     QCOW2_INCOMPAT_DIRTY);
	struct block *b;
	uint64_t i;

	for (i = 0; i < 1000; i++)
		maker_put64(&m, m.l1 + 8 * i,
			    (m.first + (i << 16)) | MAKER_COPIED);
	maker_end(&m, 1004);
	memdisk.watch = count_reads;
	b = open_image();
	EXPECT(b);
	EXPECT(read_bytes < 1 << 20);
	EXPECT(!block_close(b));
	EXPECT(is_sound());
}

#define SNAPSHOTS 300u

/* 300 snapshots whose L1 tables all name one L2 table, of two data clusters. */
static void repair_shared(void)
{
	struct maker m = maker_begin(16, 1ULL << 29, 1, QCOW2_INCOMPAT_DIRTY);
	uint64_t l2 = m.first, data = l2 + m.cluster;
	uint64_t table = data + 2 * m.cluster, l1 = table + m.cluster, at, i;
	struct block *b;

	maker_put64(&m, m.l1, l2);
	maker_put64(&m, l2, data);
	maker_put64(&m, l2 + 8 * 77, data + m.cluster);
	for (i = 0, at = table; i < SNAPSHOTS; i++, at += 64) {
		maker_put64(&m, at, l1 + i * m.cluster);
		maker_put32(&m, at + 8, 1); /* its L1 entries */
		maker_put32(&m, at + 12, 4 << 16 | 4); /* ID and name */
		maker_put32(&m, at + 36, 16); /* bytes of extra data: */
		maker_put64(&m, at + 48, 1ULL << 29);
		maker_put32(&m, at + 56, (uint32_t)(0x30303030 + i));
		maker_put32(&m, at + 60, (uint32_t)(0x30303030 + i));
		maker_put64(&m, l1 + i * m.cluster, l2);
	}
	maker_put32(&m, 60, SNAPSHOTS);
	maker_put64(&m, 64, table);
	maker_end(&m, 8 + SNAPSHOTS);
	it = l2;
	memdisk.watch = count_reads;
	b = open_image();
	EXPECT(b);
	EXPECT(reads_of_it <= 2);
	EXPECT(!block_close(b));
	EXPECT(is_sound());
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "repair_race", repair_race },
	{ "repair_holes", repair_holes },
	{ "repair_shared", repair_shared },
};

/* The driver looks for the file's name, though what is in it is in memory. */
static void name_image(void)
{
	char dir[] = "/tmp/q2hostile.XXXXXX";
	int fd = -1;

	if (mkdtemp(dir) && !chdir(dir))
		fd = open("img", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0) {
		perror(dir);
		exit(99);
	}
	close(fd);
}

static void remove_image(void)
{
	char dir[64];

	if (!getcwd(dir, sizeof(dir)) || unlink("img") || rmdir(dir))
		perror("q2hostile");
}

int main(int argc, char **argv)
{
	size_t i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	memdisk_install();
	name_image();
	if (uring_init_emulated(&ring, 64))
		return 77;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (argc > 1 && strcmp(argv[1], cases[i].name))
			continue;
		memdisk_reset(i + 1);
		memdisk.no_host = true;
		read_bytes = reads_of_it = it = 0;
		printf("%s\n", cases[i].name);
		cases[i].run();
	}
	uring_exit(&ring);
	remove_image();
	printf("%u wrong\n", bad);
	return bad ? 1 : 0;
}
