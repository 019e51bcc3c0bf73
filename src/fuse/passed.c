/*
 * Where rawfuse may not mount, another one does, and passes the opened /dev/fuse
 * on: as a descriptor that is inherited (the mountpoint is "/dev/fd/N", as with
 * libfuse), or through a socket.
 *
 * Such a mount need not be visible from here, in this mount namespace, and the
 * user IDs of the other half may be counted in another user namespace. The
 * connection's number, which the kernel tells (Linux 6.17) or the other half,
 * finds the mount if it is here, with the owner that it was made for. Else the
 * other half may tell that, too, or it is this process's own user.
 *
 * A connection lives as long as anybody has it open. So this process must be the
 * only one, or else its end would leave callers waiting: that is asked of
 * whoever passes the descriptor.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "fuse/fdinfo.h"
#include "fuse/fdpass.h"
#include "fuse/mountinfo.h"
#include "fuse/passed.h"
#include "fuse/point.h"
#include "fuse/unmount.h"
#include "loop/log.h"
#include "loop/system.h"

#define DEV_FD "/dev/fd/"
#define DIGITS_MOST 6
#define FUSE_DEVICE makedev(10, 229)
#define SEND_MOST 30 /* seconds to wait for a descriptor, or an answer */
#define TEXT_MOST (PATH_MAX + 256)

int passed_number(const char *path)
{
	const char *digits = path + strlen(DEV_FD);
	size_t n;

	if (strncmp(path, DEV_FD, strlen(DEV_FD)))
		return -1;
	n = strspn(digits, "0123456789");
	return n && n <= DIGITS_MOST && !digits[n] ? atoi(digits) : -1;
}

/* Is @fd what it should be? 0 or -errno (logged). */
static int check(int fd, const char *name)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct stat st;

	if (fstat(fd, &st)) {
		log_warn("%s: descriptor", name);
		return -errno;
	}
	if (!S_ISCHR(st.st_mode) || st.st_rdev != FUSE_DEVICE) {
		log_warnx("%s: descriptor: it is not an opened /dev/fuse",
			  name);
		return -ENOTTY;
	}
	if (poll(&p, 1, 0) < 0 || p.revents & (POLLERR | POLLNVAL)) {
		log_warnx("%s: descriptor: nothing is mounted with it, or not "
			  "any more; mount first, with fd=N",
			  name);
		return -ENOTCONN;
	}
	if (!(p.revents & POLLIN)) {
		log_warnx("%s: descriptor: another process has served it "
			  "before; a new mount is required",
			  name);
		return -EBUSY;
	}
	return 0;
}

/* What the options ask for, and the mount, which is there already, may lack. */
static int check_options(const struct mount *m, const struct mount_options *opt,
			 bool known)
{
	if (known && !m->others && opt->others == MOUNT_OTHERS_ON) {
		log_warnx("%s: --allow-other=on: it has been mounted without "
			  "allow_other",
			  m->path);
		return -EPERM;
	}
	if (opt->writeback && !m->visible) {
		log_warnx("%s: --writeback-cache: the mount is not visible "
			  "here, and the kernel is told the size through it",
			  m->path);
		return -ENOENT;
	}
	if (opt->flags || (opt->security && opt->security[0]))
		log_info("%s: it is mounted already: mount options such as "
			 "noexec have no effect",
			 m->path);
	return 0;
}

/* The value of the line @name in @text, as a number. */
static bool find_number(const char *text, const char *name, unsigned int *value)
{
	const char *line = text;

	while (line && strncmp(line, name, strlen(name))) {
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	return line && sscanf(line + strlen(name), "%u", value) == 1;
}

/* What the sender says; true if it has said whether others are let in. */
static bool read_text(struct mount *m, char *text)
{
	char *point = strstr(text, PASSED_POINT "/"), *copy;
	unsigned int value;

	if (find_number(text, PASSED_CONNECTION, &value))
		m->connection = value;
	if (find_number(text, PASSED_UID, &value))
		m->uid = value;
	if (find_number(text, PASSED_GID, &value))
		m->gid = value;
	if (point && (point == text || point[-1] == '\n')) {
		copy = strdup(point + strlen(PASSED_POINT));
		if (copy) {
			copy[strcspn(copy, "\n")] = 0;
			free(m->place.path);
			m->path = m->place.path = copy;
			m->named = true;
		}
		*point = 0;
	}
	if (!find_number(text, PASSED_OTHERS, &value))
		return false;
	m->others = value;
	return true;
}

/* What can be seen of the mount from here. */
static bool look(struct mount *m)
{
	unsigned int connection = fdinfo_connection(m->fd);
	struct mountinfo_fuse f;
	const char *why;
	struct place p;

	if (connection)
		m->connection = connection;
	if (!m->connection || !mountinfo_fuse(m->connection, &f))
		return false;
	if (!place_open(&p, f.path, &why))
		m->id = unmount_id(p.dir, p.name);
	place_close(&p);
	free(m->place.path);
	m->path = m->place.path = f.path;
	m->uid = f.uid;
	m->gid = f.gid;
	m->others = f.others;
	m->visible = m->named = true;
	return true;
}

/* Takes @fd over, with what was said of it. */
static int adopt(struct mount *m, const struct mount_options *opt, int fd,
		 char *text)
{
	int ret = check(fd, m->path);
	bool known;

	if (!ret && (fcntl(fd, F_SETFD, FD_CLOEXEC) ||
		     fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK))) {
		ret = -errno;
		log_warn("%s: descriptor", m->path);
	}
	if (ret) {
		close(fd);
		return ret;
	}
	m->fd = fd;
	known = read_text(m, text);
	known = look(m) || known;
	ret = check_options(m, opt, known);
	if (opt->others == MOUNT_OTHERS_OFF)
		m->others = false;
	else if (!known) /* the kernel knows, and decides */
		m->others = true;
	if (ret) {
		close(fd);
		m->fd = -1;
		return ret;
	}
	m->mounted = true;
	if (m->socket < 0 && (geteuid() || !m->visible))
		log_info("%s: passed in: unmounting it is left to whoever has "
			 "mounted it",
			 m->path);
	log_trace(TRACE_LIFE, "mount: passed in, %s, connection %u", m->path,
		  m->connection);
	return 0;
}

static int connect_to(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval most = { .tv_sec = SEND_MOST };
	int sock;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return -errno;
	if (!setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most)) &&
	    !setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof(most)) &&
	    !connect(sock, (struct sockaddr *)&addr, sizeof(addr)))
		return sock;
	close(sock);
	return -errno;
}

static int receive(struct mount *m, const struct mount_options *opt)
{
	char text[TEXT_MOST];
	int fd;

	m->socket = connect_to(opt->socket);
	if (m->socket < 0) {
		log_warnx("%s: --fuse-socket: %s%s", opt->socket,
			  strerror(-m->socket),
			  m->socket == -ECONNREFUSED || m->socket == -ENOENT ?
				  "; is rawfuse-mount -s running?" : "");
		return m->socket;
	}
	fd = fdpass_receive(m->socket, text, sizeof(text));
	if (fd >= 0)
		return adopt(m, opt, fd, text);
	log_warnx("%s: --fuse-socket: %s", opt->socket,
		  fd == -EPERM	? "refused: its log tells why" :
		  fd == -EPROTO ? "no descriptor came" :
		  fd == -EAGAIN ? "no descriptor came in 30 seconds" :
				  strerror(-fd));
	return fd;
}

static int inherit(struct mount *m, const struct mount_options *opt)
{
	const char *says = getenv(PASSED_ENVIRONMENT);
	int fd = passed_number(opt->path), ret;
	char *text = strdup(says ? says : "");
	unsigned int about;

	if (!text)
		return -ENOMEM;
	if (!find_number(text, PASSED_FD, &about) || (int)about != fd)
		*text = 0;
	ret = adopt(m, opt, fd, text);
	free(text);
	return ret;
}

bool passed_by_command(int fd)
{
	const char *says = getenv(PASSED_ENVIRONMENT);
	unsigned int about;

	return says && find_number(says, PASSED_FD, &about) &&
	       (int)about == fd;
}

int passed_start(struct mount *m, const struct mount_options *opt)
{
	const char *name = opt->socket ? opt->socket : opt->path;

	m->passed = true;
	m->path = m->place.path = strdup(name);
	if (!m->path)
		return -ENOMEM;
	if (opt->socket)
		return receive(m, opt);
	return inherit(m, opt);
}

static int ask(int sock, bool lazy)
{
	char byte = lazy ? PASSED_DETACH : PASSED_UNMOUNT;
	unsigned char err;

	if (send(sock, &byte, 1, MSG_NOSIGNAL) != 1 ||
	    recv(sock, &err, 1, 0) != 1)
		return EPERM;
	return err;
}

/* Where it can be seen; it is known by its ID, as its device may be another's. */
static int unmount_visible(const struct mount *m, bool lazy)
{
	struct mountinfo_fuse f;
	const char *why;
	struct place p;
	int err;

	if (!m->id)
		return EPERM;
	if (!mountinfo_fuse(m->connection, &f))
		return EINVAL;
	err = -place_open(&p, f.path, &why);
	free(f.path);
	if (!err && unmount_id(p.dir, p.name) != m->id)
		err = EINVAL;
	if (!err)
		err = point_unmount(&p, m->id, lazy);
	place_close(&p);
	return err;
}

int passed_unmount(struct mount *m, bool lazy)
{
	int err;

	closelog(); /* 3 may be its own */
	if (m->socket >= 0 && (m->socket == 3 || dup2(m->socket, 3) == 3)) {
		close_range(4, ~0U, 0);
		return ask(3, lazy);
	}
	close_range(3, ~0U, 0);
	err = unmount_visible(m, lazy);
	/* fusermount3 knows no other reason than EBUSY. */
	return err && err != EINVAL && (geteuid() || err == EACCES) ? EPERM
								    : err;
}

void passed_finish(struct mount *m)
{
	if (m->socket >= 0)
		close(m->socket); /* the other half unmounts then */
	else if (m->mounted && !geteuid())
		unmount_visible(m, true);
	m->socket = -1;
	m->mounted = false;
}
