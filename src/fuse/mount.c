/*
 * Mounting, unmounting, aborting.
 *
 * With CAP_SYS_ADMIN by mount(2), else by the set-user-ID helper fusermount3,
 * which hands the opened /dev/fuse back through a socket. The mountpoint is
 * looked up once and then known by its absolute path: after the mount, any
 * stat() of it would be a request to this very process.
 *
 * A path, a connection's number and an old-style mount ID can all be those of
 * a later mount, as soon as umount(8) has taken ours away: another rawfuse may
 * be there while this one still flushes. The ID that is never used again tells
 * them apart; where the kernel has none, the mount is looked for only right
 * after the connection has ended.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuse/helper.h"
#include "fuse/mount.h"
#include "fuse/mountinfo.h"
#include "loop/log.h"

#define FUSECTL_MAGIC 0x65735543
#define UNIQUE_MOUNT_ID 0x4000u /* STATX_MNT_ID_UNIQUE, Linux 6.8 */

/* The absolute path of @path, whose last part is not looked at. */
static char *absolute(const char *path)
{
	char *dir_copy = strdup(path), *base_copy = strdup(path);
	char *dir, *result = NULL;

	if (!dir_copy || !base_copy)
		goto out;
	dir = realpath(dirname(dir_copy), NULL);
	if (!dir)
		goto out;
	if (asprintf(&result, "%s/%s", strcmp(dir, "/") ? dir : "",
		     basename(base_copy)) < 0)
		result = NULL;
	free(dir);
out:
	free(dir_copy);
	free(base_copy);
	return result;
}

static int refuse_second(const struct mount *m)
{
	struct mountinfo info;

	if (!mountinfo_find(m->path, &info) || !info.is_rawfuse)
		return 0;
	log_warnx("%s: mount: a rawfuse mount is there already, or what one that "
		  "was killed has left; umount %s first",
		  m->path, m->path);
	return -EBUSY;
}

/* mount(2) follows a link; what it finds is then the mountpoint's name. */
static int follow_link(struct mount *m)
{
	struct stat st;
	char *target;

	if (lstat(m->path, &st) || !S_ISLNK(st.st_mode))
		return 0;
	target = realpath(m->path, NULL);
	if (!target) {
		log_warn("%s: mount: following the link", m->path);
		return -errno;
	}
	free(m->path);
	m->path = target;
	return refuse_second(m);
}

static int create(struct mount *m)
{
	int fd = open(m->path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

	if (fd < 0)
		return -1;
	close(fd);
	m->created = true;
	return open(m->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

/*
 * Opens the mountpoint, as a place and no more, and creates it if need be.
 * What was looked at is what gets mounted on, whatever the name stands for by
 * then. Returns the descriptor or -errno (logged).
 */
static int open_point(struct mount *m)
{
	struct stat st;
	int fd;

	/* First of all, without touching what may be a mount that hangs. */
	if (refuse_second(m))
		return -EBUSY;
	if (follow_link(m))
		return -EINVAL;
	fd = open(m->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		fd = create(m);
	if (fd < 0 || fstat(fd, &st)) {
		int err = errno;

		log_warn("%s: mount", m->path);
		if (fd >= 0)
			close(fd);
		return -err;
	}
	if (S_ISREG(st.st_mode))
		return fd;
	log_warnx("%s: mount: it is %s; the mountpoint must be a regular file, "
		  "or not exist",
		  m->path,
		  S_ISDIR(st.st_mode) ? "a directory" : "not a file");
	close(fd);
	return -ENOTSUP;
}

static void explain(const struct mount *m, int err)
{
	if (err == ENODEV)
		log_warnx("%s: mount: this kernel has no FUSE (modprobe fuse)",
			  m->path);
	else
		log_warnx("%s: mount: %s", m->path, strerror(err));
}

/* One try, on the place that is open as @point; 0 or -errno. */
static int try_mount(struct mount *m, const struct mount_options *opt,
		     int point)
{
	unsigned long flags = opt->flags | MS_NOSUID | MS_NODEV;
	char data[128], target[32];

	if (opt->read_only)
		flags |= MS_RDONLY;
	snprintf(data, sizeof(data),
		 "fd=%d,rootmode=%o,user_id=%u,group_id=%u,default_permissions"
		 "%s",
		 m->fd, S_IFREG, getuid(), getgid(),
		 m->others ? ",allow_other" : "");
	snprintf(target, sizeof(target), "/proc/self/fd/%d", point);
	return mount(opt->source, target, "fuse.rawfuse", flags, data) ?
		       -errno :
		       0;
}

static int mount_directly(struct mount *m, const struct mount_options *opt,
			  int point)
{
	int ret;

	m->fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (m->fd < 0) {
		if (errno == EACCES || errno == EPERM)
			return -EPERM;
		log_warn("/dev/fuse: open%s",
			 errno == ENOENT || errno == ENODEV || errno == ENXIO ?
				 " (does the container have the device? "
				 "modprobe fuse?)" :
				 "");
		return -errno;
	}
	m->others = opt->others != MOUNT_OTHERS_OFF;
	ret = try_mount(m, opt, point);
	if (ret) {
		close(m->fd);
		m->fd = -1;
	}
	if (ret && ret != -EPERM)
		explain(m, -ret);
	return ret;
}

static int mount_by_helper(struct mount *m, const struct mount_options *opt)
{
	char says[HELPER_SAYS];

	m->by_helper = true;
	m->others = opt->others != MOUNT_OTHERS_OFF;
	m->fd = helper_mount(opt, m->path, m->others, says);
	/* What fails with others let in is tried without. */
	if (m->fd < 0 && opt->others == MOUNT_OTHERS_AUTO) {
		m->others = false;
		m->fd = helper_mount(opt, m->path, false, says);
	}
	if (m->fd >= 0)
		return 0;
	if (*says)
		log_warnx("%s: mount: by fusermount3: %s", m->path, says);
	else
		log_warnx("%s: mount: not permitted: it takes root "
			  "(CAP_SYS_ADMIN), or fusermount3 of the package fuse3",
			  m->path);
	return m->fd;
}

/* Of what is mounted at @path; asks nobody who could be slow. 0: unknown. */
static uint64_t mount_id(const char *path)
{
	struct statx stx;

	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC,
		  UNIQUE_MOUNT_ID, &stx) ||
	    !(stx.stx_mask & UNIQUE_MOUNT_ID))
		return 0;
	return stx.stx_mnt_id;
}

int mount_start(struct mount *m, const struct mount_options *opt)
{
	struct mountinfo info;
	int point, ret;

	*m = (struct mount){ .fd = -1, .mtime = opt->mtime };
	errno = ENOENT;
	m->path = *opt->path ? absolute(opt->path) : NULL;
	if (!m->path) {
		log_warn("'%s': mount", opt->path);
		return -errno;
	}
	point = open_point(m);
	ret = point < 0 ? point : mount_directly(m, opt, point);
	if (point >= 0)
		close(point);
	if (ret == -EPERM)
		ret = mount_by_helper(m, opt);
	if (ret) {
		mount_finish(m);
		return ret;
	}
	m->mounted = true;
	if (mountinfo_find(m->path, &info) && info.is_rawfuse) {
		m->connection = info.minor;
		m->id = mount_id(m->path);
	}
	log_trace(TRACE_LIFE, "mount: %s, connection %u", m->path,
		  m->connection);
	return 0;
}

void mount_read_ahead(const struct mount *m, unsigned int kib)
{
	char path[64], text[16] = "";
	ssize_t n;
	int fd;

	if (!m->connection)
		return;
	snprintf(path, sizeof(path), "/sys/class/bdi/0:%u/read_ahead_kb",
		 m->connection);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return; /* not permitted, or no sysfs: it stays as it is */
	n = read(fd, text, sizeof(text) - 1);
	if (n > 0 && strtoul(text, NULL, 10) < kib) {
		snprintf(text, sizeof(text), "%u", kib);
		n = pwrite(fd, text, strlen(text), 0);
		log_trace(TRACE_LIFE, "read-ahead: %s KiB: %s", text,
			  n < 0 ? strerror(errno) : "set");
	}
	close(fd);
}

/* Is what is mounted there now our mount, and not a later one? */
static bool is_ours(const struct mount *m)
{
	struct mountinfo info;

	return mountinfo_find(m->path, &info) && info.is_rawfuse &&
	       (!m->connection || info.minor == m->connection) &&
	       (!m->id || mount_id(m->path) == m->id);
}

/*
 * What the kernel keeps is written before the mount is out of reach. False if
 * some of it is lost.
 */
static bool write_back(const struct mount *m)
{
	int fd = open(m->path, O_RDONLY | O_CLOEXEC);
	bool written;

	if (fd < 0) /* by its mode it may be for writing only */
		fd = open(m->path, O_WRONLY | O_CLOEXEC);
	written = fd >= 0 && !syncfs(fd);
	if (fd >= 0)
		close(fd);
	return written;
}

/* 0 or an errno; waits. */
static int undo(const struct mount *m, bool lazy)
{
	if (!is_ours(m))
		return EINVAL;
	if (m->by_helper)
		return helper_umount(m->path, lazy);
	return umount2(m->path, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) ?
		       errno :
		       0;
}

pid_t mount_undo_start(struct mount *m, bool lazy)
{
	int lost = 0;

	m->undo = fork();
	if (m->undo > 0)
		return m->undo;
	if (m->undo < 0) {
		m->undo = 0;
		return -errno;
	}
	/* The connection must not live on through this copy of it. */
	close_range(3, ~0U, 0);
	if (m->keeps_writes && is_ours(m) && !write_back(m))
		lost = MOUNT_LOST;
	_exit(undo(m, lazy) | lost);
}

static int tell(const struct mount *m, uint64_t size, bool times)
{
	struct timespec ts[2] = { { .tv_nsec = UTIME_OMIT }, m->mtime };

	if (truncate(m->path, (off_t)size))
		return errno;
	if (times && utimensat(AT_FDCWD, m->path, ts, 0))
		return errno;
	return 0;
}

pid_t mount_tell_start(struct mount *m, uint64_t size, bool times)
{
	m->teller = fork();
	if (m->teller > 0)
		return m->teller;
	if (m->teller < 0) {
		m->teller = 0;
		return -errno;
	}
	close_range(3, ~0U, 0);
	_exit(is_ours(m) ? tell(m, size, times) : EINVAL);
}

/* The control files of all connections, even if nobody has mounted them. */
static int open_control(void)
{
	int fs, root = open("/sys/fs/fuse/connections",
			    O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	struct statfs st;

	if (root >= 0 && !fstatfs(root, &st) && st.f_type == FUSECTL_MAGIC)
		return root;
	if (root >= 0)
		close(root);
	fs = fsopen("fusectl", FSOPEN_CLOEXEC);
	if (fs < 0)
		return -errno;
	root = fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	if (!root)
		root = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	if (root < 0)
		root = -errno;
	close(fs);
	return root;
}

int mount_abort(const struct mount *m)
{
	char path[32];
	int control, fd, ret = 0;

	if (!m->connection)
		return -ENOENT;
	control = open_control();
	if (control < 0)
		return control;
	snprintf(path, sizeof(path), "%u/abort", m->connection);
	fd = openat(control, path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "1", 1) != 1)
		ret = -errno;
	if (fd >= 0)
		close(fd);
	close(control);
	return ret;
}

void mount_detach(struct mount *m)
{
	if (m->mounted)
		undo(m, true);
	m->mounted = false;
}

void mount_finish(struct mount *m)
{
	struct stat st;

	if (!m->path)
		return;
	if (m->teller > 0)
		waitpid(m->teller, NULL, 0);
	if (m->undo > 0)
		waitpid(m->undo, NULL, 0);
	mount_detach(m);
	/* Never touch a file that somebody else mounted or filled. */
	if (m->created && !mountinfo_find(m->path, NULL) &&
	    !lstat(m->path, &st) && S_ISREG(st.st_mode) && !st.st_size)
		unlink(m->path);
	free(m->path);
	*m = (struct mount){ .fd = -1 };
}
