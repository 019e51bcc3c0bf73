/* The state that an export reports while it is served. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "control/control.h"
#include "fuse/request.h"

/* Within a request: nothing is allocated, nothing waits. */
static int on_ioctl(const struct fuse_request *req, uint32_t cmd, void *to,
		    size_t room)
{
	const struct control *c = req->session->ioctl_arg;
	union answer a;

	if (cmd != ANSWER_IOCTL || room < sizeof(a))
		return -ENOTTY;
	answer_fill(&a, &c->served, req);
	memcpy(to, &a, sizeof(a));
	return sizeof(a);
}

int control_init(struct control *c, const char *image, const char *stats)
{
	struct stat st;

	c->image = realpath(image, NULL);
	c->served = (struct served){ .image = c->image ? c->image : image };
	if (!stat("/proc/self/ns/pid", &st))
		c->served.pid_namespace = st.st_ino;
	return stats ? stats_file_open(&c->stats, stats) : 0;
}

int control_start(struct control *c, struct session *s, const char *mountpoint)
{
	c->served.session = s;
	c->served.started = time(NULL);
	c->served.started_ns = session_clock();
	s->ioctl_arg = c;
	s->on_ioctl = on_ioctl;
	return stats_file_start(&c->stats, s->loop, &c->served, mountpoint);
}

void control_stop(struct control *c)
{
	stats_file_note(&c->stats);
}

void control_end(struct control *c, bool flushed)
{
	stats_file_end(&c->stats, flushed);
}

void control_free(struct control *c)
{
	free(c->image);
	c->image = NULL;
}
