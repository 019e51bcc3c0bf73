/*
 * q2hostile [CASE]: images that were made to cost their owner's host time,
 * memory or disk, or to change under it. In memory; what is measured is counted
 * (bytes that are read, the size of the file), but for the overlap check, which does
 * no I/O: its processor time has a bound that is a hundred times what it takes.
 *
 * Exit code: 0 fine, 1 not.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "block/qcow2/image.h"
#include "block/qcow2/overlap.h"
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

static int64_t request(struct block *b, enum block_type type, uint64_t offset,
		       uint64_t length, void *buf)
{
	struct block_req req = {
		.type = type, .offset = offset, .length = length, .buf = buf
	};

	return block_run(b, &req);
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

/*
 * 256 empty L2 tables that must be copied before they change. What reads as
 * zeros already does not change.
 */
static void discard_amplify(void)
{
	static const enum block_type types[] = { BLOCK_DISCARD, BLOCK_ZERO };
	struct maker m = maker_begin(16, 128ULL << 30, 256, 0);
	uint64_t i, size;
	struct block *b;

	for (i = 0; i < 256; i++)
		maker_put64(&m, m.l1 + 8 * i, m.first + (i << 16));
	maker_end(&m, 4 + 256);
	size = m.file->size;
	b = open_image();
	EXPECT(b);
	for (i = 0; b && i < 2; i++) {
		EXPECT(request(b, types[i], 0, b->size, NULL) == 0);
		EXPECT(request(b, types[i], 12345, b->size - 54321, NULL) == 0);
	}
	EXPECT(request(b, BLOCK_FLUSH, 0, 0, NULL) == 0);
	EXPECT(m.file->size == size);
	EXPECT(!block_close(b));
}

static double cpu_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

#define TABLES (4u << 20)
#define CHECKS 4096u

/*
 * As many L2 tables as there can be, placed so that multiplying by a constant
 * (a known one) puts many of them where the clusters to be written are. To
 * look for one there must cost no walk through all of them.
 */
static void overlap_collisions(void)
{
	static const uint64_t golden = 0x9e3779b97f4a7c15ULL;
	struct block own = { .opt.path = "img" };
	struct block file = { .size = 1ULL << 40 };
	struct qcow2 q = { .b = &own,
			   .file = &file,
			   .geo.cluster_bits = 9,
			   .geo.cluster_size = 512,
			   .l1_offset = 512,
			   .l1_size = TABLES,
			   .reftable_offset = 1ULL << 30,
			   .reftable_size = 64 };
	uint64_t data = 1ULL << 20, i, n, step = 1;
	double began;

	q.l1 = calloc(TABLES, 8);
	q.reftable = calloc(64, 8);
	if (!q.l1 || !q.reftable)
		exit(99);
	q.reftable[0] = htobe64(1ULL << 31);
	/* The step whose product is nearest to 0: neighbours in any table. */
	for (n = 1; n < 1u << 28; n++)
		if (n * golden < step * golden)
			step = n;
	for (i = 0; i < CHECKS; i++)
		q.l1[i] = htobe64((data + i + step) << 9);
	for (; i < TABLES; i++)
		q.l1[i] = htobe64(((1ULL << 29) + i) << 9);
	EXPECT(!qcow2_overlap_init(&q));
	began = cpu_seconds();
	for (i = 0; i < CHECKS; i++)
		EXPECT(!qcow2_overlap_check(&q, (data + i) << 9, 512));
	EXPECT(cpu_seconds() - began < 0.2);
	for (i = 0; i < TABLES; i += TABLES / 4) {
		q.corrupt = true; /* so that it is not marked: no header */
		EXPECT(qcow2_overlap_check(&q, be64toh(q.l1[i]), 512) == -EIO);
	}
	qcow2_overlap_free(&q);
	free(q.l1);
	free(q.reftable);
}

static unsigned int allocations, fail_allocation; /* counted from 1; 0: none */

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	if (++allocations == fail_allocation)
		return NULL;
	return __real_aligned_alloc(alignment, size);
}

/* Memory that lacks once is not missed for ever. */
__attribute__((unused)) static void
decompress_memory_at(unsigned int allocation)
{
	/* Raw deflate: one stored block, the last, of 512 bytes. */
	static const uint8_t stored[] = { 1, 0x00, 0x02, 0xff, 0xfd, 'x', 'y' };
	struct maker m = maker_begin(9, 32768, 1, 0);
	uint64_t data = m.first + m.cluster;
	uint8_t buf[512] = { 0 };
	struct block *b;

	maker_put64(&m, m.l1, m.first | MAKER_COPIED);
	maker_put64(&m, m.first, QCOW2_COMPRESSED | 1ULL << 61 | data);
	memfile_write(m.file, stored, sizeof(stored), data);
	maker_end(&m, 8);
	b = open_image();
	EXPECT(b);
	allocations = 0;
	fail_allocation = allocation;
	EXPECT(request(b, BLOCK_READ, 0, 512, buf) == -ENOMEM);
	EXPECT(request(b, BLOCK_READ, 0, 512, buf) == 512);
	EXPECT(buf[0] == 'x' && buf[1] == 'y' && !buf[511]);
	EXPECT(!block_close(b));
	fail_allocation = 0;
}

static void decompress_memory(void)
{
#ifdef HAVE_ZLIB
	decompress_memory_at(1);
	decompress_memory_at(2);
#endif
}

/* The frame says how much memory it wants: no more than any writer needs. */
static void zstd_window(void)
{
	static const struct { unsigned int log; int64_t result; } windows[] = {
		{ 16, 65536 }, { 23, 65536 }, { 24, -EIO }, { 27, -EIO },
	};
	size_t i;

	for (i = 0; i < sizeof(windows) / sizeof(*windows); i++) {
		struct maker m = maker_begin(16, 1 << 20, 1, 1 << 3);
		uint64_t data = m.first + m.cluster;
		/* A frame: the window; a block of one byte 65536 times. */
		const uint8_t frame[] = {
			0x28, 0xb5, 0x2f, 0xfd, 0,
			(uint8_t)((windows[i].log - 10) << 3), 3, 0, 8, 'z',
		};
		static uint8_t buf[65536];
		struct block *b;

		maker_put32(&m, 100, 112); /* the header's length */
		maker_put32(&m, 104, 1u << 24); /* zstd */
		maker_put64(&m, m.l1, m.first | MAKER_COPIED);
		maker_put64(&m, m.first, QCOW2_COMPRESSED | data);
		memfile_write(m.file, frame, sizeof(frame), data);
		maker_end(&m, 6);
		b = open_image();
		if (!b && !i)
			return; /* built without zstd */
		EXPECT(b);
		EXPECT(request(b, BLOCK_READ, 0, 65536, buf) ==
		       windows[i].result);
		EXPECT(windows[i].result < 0 || buf[65535] == 'z');
		EXPECT(!block_close(b));
	}
}

static void note_end(struct block_req *req)
{
	*(bool *)req->user = true;
}

/* Begins a long request; closing the image must not wait for all of it. */
static void close_beside(struct block *b, enum block_type type)
{
	bool over = false;
	struct block_req req = { .type = type,
				 .done = note_end,
				 .user = &over };
	uint64_t before;

	EXPECT(b);
	if (!b)
		return;
	req.length = type == BLOCK_SEEK_DATA ? 0 : b->size;
	block_submit(b, &req);
	uring_drain(&ring);
	EXPECT(!over);
	before = memdisk.ios;
	EXPECT(!block_close(b));
	EXPECT(over);
	EXPECT(req.result == (type == BLOCK_SEEK_DATA ? req.result :
							-ESHUTDOWN));
	EXPECT(memdisk.ios - before < 300);
}

/* The same if its caller goes away; then the image goes on to be used. */
static void cancel_it(struct block *b, enum block_type type)
{
	bool over = false;
	struct block_req req = { .type = type,
				 .done = note_end,
				 .user = &over };
	uint64_t before;
	char text[512];

	EXPECT(b);
	if (!b)
		return;
	req.length = type == BLOCK_SEEK_DATA ? 0 : b->size;
	block_submit(b, &req);
	uring_drain(&ring);
	EXPECT(!over);
	before = memdisk.ios;
	block_cancel(&req);
	while (!over)
		uring_wait(&ring);
	EXPECT(req.result == (type == BLOCK_SEEK_DATA ? req.result : -EINTR));
	EXPECT(memdisk.ios - before < 300);
	memset(text, 'x', sizeof(text));
	EXPECT(!block_pwrite(b, text, sizeof(text), b->size / 2));
	memset(text, 0, sizeof(text));
	EXPECT(!block_pread(b, text, sizeof(text), b->size / 2));
	EXPECT(text[0] == 'x' && text[511] == 'x');
	EXPECT(!block_close(b));
}

/* What nobody waits for any more ends, and leaves the image as it should be. */
static void end_long_work(void (*end)(struct block *b, enum block_type type))
{
	static const enum block_type types[] = { BLOCK_DISCARD, BLOCK_ZERO,
						 BLOCK_SEEK_DATA };
	struct maker m = maker_begin(16, 512 << 20, 1, 0);
	size_t i, k;

	maker_end(&m, 4);
	end(open_image(), BLOCK_ALLOCATE);
	EXPECT(is_sound());
	for (i = 0; i < sizeof(types) / sizeof(*types); i++) {
		/* 2000 L2 tables of 4 KiB, all of their entries empty. */
		m = maker_begin(12, 4000ULL << 20, 2000, 0);
		for (k = 0; k < 2000; k++)
			maker_put64(&m, m.l1 + 8 * k,
				    (m.first + k * m.cluster) | MAKER_COPIED);
		maker_end(&m, 2007);
		end(open_image(), types[i]);
		EXPECT(is_sound());
	}
}

static void long_work(void)
{
	end_long_work(close_beside);
	end_long_work(cancel_it);
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "repair_race", repair_race },
	{ "repair_holes", repair_holes },
	{ "repair_shared", repair_shared },
	{ "discard_amplify", discard_amplify },
	{ "overlap_collisions", overlap_collisions },
	{ "decompress_memory", decompress_memory },
	{ "zstd_window", zstd_window },
	{ "long_work", long_work },
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
