#include "config.h"

#include "block/qcow2/image.h"
#include "block/qcow2/in_flight.h"
#include "block/qcow2/job.h"

void qcow2_in_flight_init(struct qcow2 *q)
{
	q->in_flight.age = 1;
}

void qcow2_in_flight_add(struct qcow2 *q, struct qcow2_in_flight *f)
{
	struct qcow2_in_flight_list *l = &q->in_flight;

	f->age = l->age;
	f->next = NULL;
	f->prev = l->last;
	if (l->last)
		l->last->next = f;
	else
		l->first = f;
	l->last = f;
}

static bool has_older(const struct qcow2_in_flight_list *l, uint64_t age)
{
	return l->first && l->first->age < age;
}

void qcow2_in_flight_remove(struct qcow2 *q, struct qcow2_in_flight *f)
{
	struct qcow2_in_flight_list *l = &q->in_flight;

	if (f->prev)
		f->prev->next = f->next;
	else
		l->first = f->next;
	if (f->next)
		f->next->prev = f->prev;
	else
		l->last = f->prev;
	f->age = 0;
	if (l->waiter.first && !has_older(l, l->wanted))
		qcow2_wake(&l->waiter, 0);
}

uint64_t qcow2_in_flight_age(struct qcow2 *q)
{
	return ++q->in_flight.age;
}

int qcow2_in_flight_wait(struct qcow2 *q, uint64_t age, struct qcow2_job *job)
{
	struct qcow2_in_flight_list *l = &q->in_flight;

	if (!has_older(l, age))
		return 0;
	l->wanted = age;
	return qcow2_wait(&l->waiter, job);
}
