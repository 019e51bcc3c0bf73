#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/qcow2/buffer.h"
#include "block/qcow2/image.h"
#include "block/qcow2/job.h"

struct qcow2_buffers {
	uint8_t *memory, *free;
	struct qcow2_queue waiters;
};

/* A free buffer begins with the address of the next one. */
static uint8_t **next_buffer(uint8_t *buffer)
{
	return (void *)buffer;
}

uint8_t *qcow2_take_buffer(struct qcow2 *q, struct qcow2_job *job)
{
	uint8_t *buffer = q->buffers->free;

	if (buffer)
		q->buffers->free = *next_buffer(buffer);
	else
		qcow2_wait(&q->buffers->waiters, job);
	return buffer;
}

void qcow2_give_buffer(struct qcow2 *q, uint8_t *buffer)
{
	if (!buffer)
		return;
	*next_buffer(buffer) = q->buffers->free;
	q->buffers->free = buffer;
	qcow2_wake(&q->buffers->waiters, 0);
}

int qcow2_buffers_init(struct qcow2 *q)
{
	unsigned int i;

	q->buffers = calloc(1, sizeof(*q->buffers));
	if (!q->buffers)
		return -ENOMEM;
	q->buffers->memory = aligned_alloc(4096, QCOW2_BUFFER * QCOW2_BUFFERS);
	q->zeros = aligned_alloc(4096, QCOW2_BUFFER);
	if (!q->buffers->memory || !q->zeros)
		return -ENOMEM;
	memset(q->zeros, 0, QCOW2_BUFFER);
	for (i = 0; i < QCOW2_BUFFERS; i++)
		qcow2_give_buffer(q, q->buffers->memory + i * QCOW2_BUFFER);
	return 0;
}

void qcow2_buffers_free(struct qcow2 *q)
{
	if (q->buffers)
		free(q->buffers->memory);
	free(q->buffers);
	free(q->zeros);
}
