/*
 * STAT: times are those of the file that has the data; the storage is that of
 * all files below, since who copies takes a file without any for one hole. What
 * cannot be asked may have some.
 */
#include "config.h"

#include <sys/stat.h>

#include "block/qcow2/qcow2.h"

static uint64_t blocks(const struct qcow2_job *job)
{
	const struct statx *stx = QCOW2_TASK(job)->req->buf;

	return job->error ? 1 : stx->stx_blocks;
}

static void ask(struct qcow2_job *job, struct block *b,
		void (*step)(struct qcow2_job *job))
{
	job->error = 0;
	job->step = step;
	qcow2_child(job, b, BLOCK_STAT, QCOW2_TASK(job)->req->buf, 0, 0);
}

static void data_found(struct qcow2_job *job)
{
	struct qcow2_task *t = QCOW2_TASK(job);
	struct statx *stx = t->req->buf;

	if (!job->error)
		stx->stx_blocks += t->pos;
	qcow2_finish(t, job->error);
}

static void file_found(struct qcow2_job *job)
{
	QCOW2_TASK(job)->pos += blocks(job);
	ask(job, job->q->data, data_found);
}

static void ask_files(struct qcow2_job *job)
{
	struct qcow2 *q = job->q;

	if (q->data != q->file)
		ask(job, q->file, file_found);
	else
		ask(job, q->data, data_found);
}

static void backing_found(struct qcow2_job *job)
{
	QCOW2_TASK(job)->pos += blocks(job);
	ask_files(job);
}

void qcow2_stat_request(struct qcow2_task *t)
{
	struct qcow2 *q = t->job.q;

	t->pos = 0;
	if (q->backing)
		ask(&t->job, q->backing, backing_found);
	else
		ask_files(&t->job);
}
