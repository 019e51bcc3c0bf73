#include "config.h"

#include "block/qcow2/image.h"
#include "block/qcow2/job.h"
#include "block/qcow2/range_lock.h"

static struct qcow2_range_lock *find(const struct qcow2 *q, uint64_t first,
				     uint64_t count)
{
	struct qcow2_range_lock *l = q->locked;

	while (l && (l->first >= first + count || first >= l->first + l->count))
		l = l->next;
	return l;
}

bool qcow2_range_locked(const struct qcow2 *q, uint64_t first, uint64_t count)
{
	return find(q, first, count);
}

int qcow2_range_wait(struct qcow2 *q, uint64_t first, uint64_t count,
		     struct qcow2_job *job)
{
	struct qcow2_range_lock *l = find(q, first, count);

	return l ? qcow2_wait(&l->waiters, job) : 0;
}

void qcow2_range_lock(struct qcow2 *q, struct qcow2_range_lock *l,
		      uint64_t first, uint64_t count)
{
	l->first = first;
	l->count = count;
	l->prev = NULL;
	l->next = q->locked;
	if (q->locked)
		q->locked->prev = l;
	q->locked = l;
}

void qcow2_range_shrink(struct qcow2_range_lock *l, uint64_t count)
{
	l->count = count;
	qcow2_wake(&l->waiters, 0);
}

void qcow2_range_unlock(struct qcow2 *q, struct qcow2_range_lock *l)
{
	if (l->prev)
		l->prev->next = l->next;
	else
		q->locked = l->next;
	if (l->next)
		l->next->prev = l->prev;
	qcow2_wake(&l->waiters, 0);
}
