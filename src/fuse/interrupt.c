/*
 * INTERRUPT: a caller has got a signal. The kernel waits for the answer all the
 * same, and so does the caller, even if it is to be killed. A READ or a WRITE
 * has an end that is near; what may take long (an allocation of gigabytes, the
 * emptying of a disk) ends with EINTR, with a part of it done. Only such requests
 * stand in the list that is searched here.
 *
 * An INTERRUPT comes by /dev/fuse, while its request may come by the ring: so it
 * can be the first of the two, and is kept for a while. Numbers are not used
 * again, so one that is kept too long does no harm.
 */
#include "config.h"

#include "block/block.h"
#include "fuse/interrupt.h"
#include "fuse/session.h"

static bool came_early(const struct session *s, uint64_t unique)
{
	unsigned int i;

	for (i = 0; i < SESSION_EARLY; i++)
		if (s->early[i] == unique)
			return true;
	return false;
}

void interrupt_watch(struct fuse_request *req)
{
	struct session *s = req->session;

	if (req->watched)
		return;
	req->watched = true;
	req->interrupted = came_early(s, req->unique);
	req->watch_prev = NULL;
	req->watch_next = s->watched;
	if (s->watched)
		s->watched->watch_prev = req;
	s->watched = req;
}

void interrupt_forget(struct fuse_request *req)
{
	if (!req->watched)
		return;
	if (req->watch_prev)
		req->watch_prev->watch_next = req->watch_next;
	else
		req->session->watched = req->watch_next;
	if (req->watch_next)
		req->watch_next->watch_prev = req->watch_prev;
	req->watched = req->interrupted = false;
}

void interrupt_by_number(struct session *s, uint64_t unique)
{
	struct fuse_request *req = s->watched;

	while (req && req->unique != unique)
		req = req->watch_next;
	if (!req) {
		s->early[s->early_n++ % SESSION_EARLY] = unique;
		return;
	}
	req->interrupted = true;
	block_cancel(&req->io);
}
