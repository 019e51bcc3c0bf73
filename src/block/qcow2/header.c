/*
 * The header as it is on disk: one sector, kept, and written back as a whole.
 *
 * Whoever changes a field does so when what the field says is stable; so the
 * sector is right at any time, and whoever writes it may carry others' changes
 * along. Only one write is under way; who comes meanwhile waits for the next.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "block/bytes.h"
#include "block/qcow2/format.h"
#include "block/qcow2/header.h"
#include "block/qcow2/image.h"
#include "block/qcow2/job.h"
#include "loop/log.h"

struct qcow2_header_writer {
	struct qcow2_job job;
	bool busy;
	bool again; /* the header has changed since */
	uint8_t *copy; /* what is being written */
	struct qcow2_queue now, next; /* who waits for which write */
};

int qcow2_header_init(struct qcow2 *q)
{
	q->header = aligned_alloc(4096, 4096);
	q->header_writer = calloc(1, sizeof(*q->header_writer));
	if (!q->header || !q->header_writer)
		return -ENOMEM;
	q->header_writer->copy = aligned_alloc(4096, 4096);
	return q->header_writer->copy ? 0 : -ENOMEM;
}

void qcow2_header_free(struct qcow2 *q)
{
	if (q->header_writer)
		free(q->header_writer->copy);
	free(q->header_writer);
	free(q->header);
}

uint32_t qcow2_get32(const struct qcow2 *q, enum qcow2_field field)
{
	return bytes_be32(q->header + field);
}

uint64_t qcow2_get64(const struct qcow2 *q, enum qcow2_field field)
{
	return bytes_be64(q->header + field);
}

void qcow2_put32(struct qcow2 *q, enum qcow2_field field, uint32_t value)
{
	bytes_put_be32(q->header + field, value);
}

void qcow2_put64(struct qcow2 *q, enum qcow2_field field, uint64_t value)
{
	bytes_put_be64(q->header + field, value);
}

int qcow2_damaged(struct qcow2 *q, bool change, const char *what,
		  uint64_t offset)
{
	if (change)
		return qcow2_set_corrupt(q, what, offset);
	if (!q->corrupt)
		log_limited("%s: qcow2: corrupt: %s at 0x%" PRIx64 "; the "
			    "request fails; see 'qemu-img check'",
			    q->b->opt.path, what, offset);
	return -EIO;
}

int qcow2_set_corrupt(struct qcow2 *q, const char *what, uint64_t offset)
{
	/* The mark comes but once, and with it a line that is never left out. */
	if (q->corrupt)
		return -EIO;
	if (q->b->opt.read_only)
		return qcow2_damaged(q, false, what, offset);
	log_warnx("%s: qcow2: corrupt: %s at 0x%" PRIx64 "; nothing more is "
		  "written; see 'qemu-img check'",
		  q->b->opt.path, what, offset);
	q->corrupt = true;
	if (q->geo.version >= 3) {
		qcow2_put64(q, QCOW2_H_INCOMPAT,
			    qcow2_get64(q, QCOW2_H_INCOMPAT) |
				    QCOW2_INCOMPAT_CORRUPT);
		qcow2_header_write(q, NULL);
	}
	return -EIO;
}

static void written(struct qcow2_job *job);

static void write_now(struct qcow2 *q)
{
	struct qcow2_header_writer *w = q->header_writer;

	w->busy = true;
	w->again = false;
	w->now = w->next;
	w->next = (struct qcow2_queue){ NULL, NULL };
	memcpy(w->copy, q->header, QCOW2_SECTOR);
	qcow2_job_init(q, &w->job, written);
	qcow2_child(&w->job, q->file, BLOCK_WRITE, w->copy, QCOW2_SECTOR, 0);
}

static void written(struct qcow2_job *job)
{
	struct qcow2 *q = job->q;
	struct qcow2_header_writer *w = q->header_writer;

	qcow2_wake(&w->now, job->error);
	w->busy = false;
	if (w->next.first || w->again)
		write_now(q);
}

int qcow2_header_write(struct qcow2 *q, struct qcow2_job *job)
{
	struct qcow2_header_writer *w = q->header_writer;

	if (job)
		qcow2_wait(&w->next, job);
	if (w->busy)
		w->again = true;
	else
		write_now(q);
	return QCOW2_WAIT;
}

bool qcow2_header_busy(const struct qcow2 *q)
{
	return q->header_writer->busy;
}

static void put_place(struct qcow2 *q, const struct qcow2_place *place)
{
	qcow2_put64(q, place->offset_field, place->offset);
	qcow2_put32(q, place->size_field, place->size);
}

static void published(struct qcow2_job *job)
{
	struct qcow2_publish *p = container_of(job, struct qcow2_publish, job);

	if (job->error) {
		put_place(job->q, &p->old);
		job->q->header_stale = true;
	}
	p->waiter->error = job->error;
	p->waiter->step(p->waiter);
}

static void publish_sync(struct qcow2_job *job)
{
	job->step = published;
	if (job->error)
		published(job);
	else
		qcow2_child(job, job->q->file, BLOCK_FLUSH, NULL, 0, 0);
}

int qcow2_publish(struct qcow2 *q, struct qcow2_publish *p,
		  const struct qcow2_place *place, struct qcow2_job *job)
{
	p->old = (struct qcow2_place){ place->offset_field, place->size_field,
				       qcow2_get64(q, place->offset_field),
				       qcow2_get32(q, place->size_field) };
	p->waiter = job;
	put_place(q, place);
	qcow2_job_init(q, &p->job, publish_sync);
	return qcow2_header_write(q, &p->job);
}
