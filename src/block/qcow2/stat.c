/*
 * STAT: times are those of the file that has the data; the storage is that of
 * all files below, since who copies takes a file without any for one hole. What
 * cannot be asked may have some.
 */
#include "config.h"

#include "block/qcow2/image.h"
#include "block/qcow2/job.h"
#include "block/qcow2/stat.h"

#define STAT(j) container_of(j, struct qcow2_stat, job)

static uint64_t blocks(const struct qcow2_job *job)
{
	return job->error ? 1 : STAT(job)->stx->stx_blocks;
}

static void ask(struct qcow2_job *job, struct block *b,
		void (*step)(struct qcow2_job *job))
{
	job->error = 0;
	job->step = step;
	qcow2_child(job, b, BLOCK_STAT, STAT(job)->stx, 0, 0);
}

static void data_found(struct qcow2_job *job)
{
	struct qcow2_stat *s = STAT(job);

	if (!job->error)
		s->stx->stx_blocks += s->blocks;
	s->done(s, job->error);
}

static void file_found(struct qcow2_job *job)
{
	STAT(job)->blocks += blocks(job);
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
	STAT(job)->blocks += blocks(job);
	ask_files(job);
}

void qcow2_stat(struct qcow2 *q, struct qcow2_stat *s)
{
	s->blocks = 0;
	qcow2_job_init(q, &s->job, NULL);
	if (q->backing)
		ask(&s->job, q->backing, backing_found);
	else
		ask_files(&s->job);
}
