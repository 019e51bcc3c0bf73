/*
 * SIGHUP: the log is opened anew, and what may have changed outside is looked
 * at again.
 *
 * | state   | what happens              | what is done                        |
 * |---------|---------------------------|-------------------------------------|
 * | idle    | SIGHUP                    | RELOADING=1; a look at the image    |
 * | looking | SIGHUP                    | RELOADING=1; one more look after    |
 * | looking | the look is over, size as | READY=1                             |
 * |         | before                    |                                     |
 * | looking | the same, it has grown    | the kernel is told (life.c does)    |
 * | telling | the kernel knows          | READY=1                             |
 */
#include "config.h"

#include "fuse/attr.h"
#include "loop/log.h"
#include "loop/size.h"
#include "reload.h"

void reload_init(struct reload *r, struct session *s, struct notify *n,
		 const char *path)
{
	*r = (struct reload){ .session = s,
			      .notify = n,
			      .path = path,
			      .size = s->block->size };
}

void reload_start(struct reload *r)
{
	log_reopen();
	if (!r->session->ready || r->session->ended)
		return;
	notify_reloading(r->notify);
	if (r->busy || !attr_look(r->session)) {
		r->again = true;
		return;
	}
	r->busy = true;
	r->size = r->session->block->size;
}

static void tell_growth(struct reload *r)
{
	char from[SIZE_TEXT], to[SIZE_TEXT];
	uint64_t size = r->session->block->size;

	if (size > r->size)
		log_info("%s: the image has grown from %s to %s", r->path,
			 size_print(from, r->size), size_print(to, size));
	r->size = size;
}

void reload_go_on(struct reload *r)
{
	if (!r->busy || r->session->look.busy)
		return;
	tell_growth(r);
	if (r->session->telling)
		return;
	r->busy = false;
	notify_reloaded(r->notify);
	if (r->again && !r->session->ended) {
		r->again = false;
		reload_start(r);
	}
}
