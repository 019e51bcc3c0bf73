/*
 * Mounting, and what remains to be done at the end.
 *
 * With CAP_SYS_ADMIN by mount(2), else by the set-user-ID helper fusermount3,
 * which hands the opened /dev/fuse back through a socket. The mountpoint is
 * looked up once and then known by the directory that it is in (place.c):
 * after the mount, any stat() of it would be a request to this very process.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuse/fdinfo.h"
#include "fuse/helper.h"
#include "fuse/mount.h"
#include "fuse/mountinfo.h"
#include "fuse/passed.h"
#include "fuse/point.h"
#include "fuse/unmount.h"
#include "loop/log.h"
#include "loop/system.h"

#define FUSECTL_MAGIC 0x65735543

const char *mount_wrong_device(void)
{
	struct stat st;

	if (stat("/dev/fuse", &st) ||
	    (S_ISCHR(st.st_mode) && st.st_rdev == makedev(10, 229)))
		return NULL;
	return "it is not the FUSE device (a character device 10:229)";
}

/* Without touching the mount, which may hang. */
static int refuse_second(const struct mount *m, const struct mount_options *opt)
{
	long pid = opt->server ? opt->server(m->path) : 0;
	char who[48] = "";

	switch (point_ask(&m->place)) {
	case POINT_ALIVE:
		if (!pid)
			pid = fdinfo_server(point_connection(&m->place));
		if (pid)
			snprintf(who, sizeof(who), " (process %ld)", pid);
		log_warnx("%s: mount: a rawfuse mount is there already%s; "
			  "umount %s first, or give --replace=live, which ends "
			  "that export",
			  m->path, who, m->path);
		break;
	case POINT_DEAD:
		log_warnx("%s: mount: what a killed rawfuse has left is there; "
			  "umount %s first, or give --replace",
			  m->path, m->path);
		break;
	case POINT_SILENT:
		log_warnx("%s: mount: a rawfuse mount is there already, which "
			  "does not answer; umount %s first (-l if it hangs)",
			  m->path, m->path);
	}
	return -EBUSY;
}

/*
 * May it be mounted on? A file that somebody else has put where all may write
 * could be taken away under the mount, and another one put there.
 */
static int check_point(struct mount *m, const struct mount_options *opt, int fd)
{
	struct stat st;
	bool is_image;

	if (fstat(fd, &st)) {
		log_warn("%s: mount", m->path);
		return -errno;
	}
	if (!S_ISREG(st.st_mode)) {
		log_warnx("%s: mount: it is %s; the mountpoint must be a "
			  "regular file, or not exist",
			  m->path,
			  S_ISDIR(st.st_mode) ? "a directory" : "not a file");
		return -ENOTSUP;
	}
	is_image = st.st_dev == opt->image_dev && st.st_ino == opt->image_ino;
	if (!m->made.is_ours && !is_image)
		made_recognise(&m->made, fd, &st);
	if (is_image || place_trusted(m->place.dir, &st))
		return 0;
	log_warnx("%s: mount: the file is another user's, in a directory that "
		  "all may write to; give a name that is not there yet",
		  m->path);
	return -EACCES;
}

/* Names the first directory on the way that is not there. */
static void tell_missing(const char *path)
{
	char *dir = strdup(path), *slash = dir;

	while (slash && (slash = strchr(slash + 1, '/'))) {
		*slash = 0;
		if (access(dir, F_OK) && errno == ENOENT)
			break;
		*slash = '/';
	}
	log_warnx("%s: mount: %s%s%s", path, slash ? dir : "",
		  slash ? ": " : "", strerror(ENOENT));
	free(dir);
}

/* Finds the place; 0 or -errno (logged). */
static int find_place(struct mount *m, const struct mount_options *opt)
{
	const char *why = NULL;
	int ret;

	if (access("/proc/self/mountinfo", R_OK)) {
		log_warnx("%s: mount: /proc is not mounted, and a mount is "
			  "made and found by it: mount -t proc proc /proc",
			  opt->path);
		return -ENOENT;
	}
	ret = place_open(&m->place, opt->path, &why);
	m->path = m->place.path;
	if (ret == -ENOENT && !why && *opt->path)
		tell_missing(opt->path);
	else if (ret)
		log_warnx("%s%s%s: mount: %s", *opt->path ? "" : "'", opt->path,
			  *opt->path ? "" : "'", why ? why : strerror(-ret));
	/* Else that user would choose the place, at any time. */
	if (!ret && opt->has_owner && m->place.strange) {
		log_warnx("%s: mount: for another user no links are followed "
			  "but ours and root's",
			  opt->path);
		place_close(&m->place);
		m->path = NULL;
		return -EACCES;
	}
	return ret;
}

/*
 * Opens the mountpoint, as a place and no more, and creates it if need be.
 * What was looked at is what gets mounted on, whatever the name stands for by
 * then. Returns the descriptor or -errno (logged).
 */
static int open_point(struct mount *m, const struct mount_options *opt)
{
	int fd, ret;

	/* First of all, without touching what may be a mount that hangs. */
	if (m->place.mounted)
		return refuse_second(m, opt);
	fd = place_file(&m->place, O_PATH);
	if (fd == -ENOENT && m->place.linked)
		log_warnx("%s: mount: following the link: %s", opt->path,
			  strerror(ENOENT));
	else if (fd == -ENOENT)
		fd = made_create(&m->made, &m->place);
	if (fd < 0) {
		if (fd != -ENOENT || !m->place.linked)
			log_warnx("%s: mount: %s", m->path, strerror(-fd));
		return fd;
	}
	ret = check_point(m, opt, fd);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

static void explain(const struct mount *m, int err)
{
	if (err == ENODEV)
		log_warnx("%s: mount: this kernel has no FUSE (modprobe fuse)",
			  m->path);
	else
		log_warnx("%s: mount: %s", m->path, strerror(err));
}

static bool has_selinux(void)
{
	FILE *f = fopen("/proc/filesystems", "re");
	char line[128];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, "\tselinuxfs");
	if (f)
		fclose(f);
	return found;
}

char *mount_security(const struct mount_options *opt)
{
	char *text = strdup(""), *more;
	size_t i;

	if (!opt->security || !opt->security[0] || !has_selinux())
		return text;
	for (i = 0; text && i < MOUNT_SECURITY && opt->security[i]; i++) {
		if (asprintf(&more, "%s,%s", text, opt->security[i]) < 0)
			more = NULL;
		free(text);
		text = more;
	}
	return text;
}

/* One try, on the place that is open as @point; 0 or -errno. */
static int try_mount(struct mount *m, const struct mount_options *opt,
		     int point)
{
	unsigned long flags = opt->flags | MS_NOSUID | MS_NODEV;
	char *security = mount_security(opt), *data, target[32];
	int ret = -ENOMEM;

	if (!security ||
	    asprintf(
		    &data,
		    "fd=%d,rootmode=%o,user_id=%u,group_id=%u,default_permissions"
		    "%s%s",
		    m->fd, S_IFREG, m->uid, m->gid,
		    m->others ? ",allow_other" : "", security) < 0)
		data = NULL;
	snprintf(target, sizeof(target), "/proc/self/fd/%d", point);
	if (data)
		ret = mount(opt->source, target, "fuse.rawfuse", flags, data)
			      ? -errno
			      : 0;
	free(security);
	free(data);
	return ret;
}

static int mount_directly(struct mount *m, const struct mount_options *opt,
			  int point)
{
	const char *wrong = mount_wrong_device();
	int ret;

	if (wrong) {
		log_warnx("/dev/fuse: %s" MOUNT_SEE_PROBE, wrong);
		return -ENODEV;
	}
	m->fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (m->fd < 0) {
		if (errno == EACCES || errno == EPERM)
			return -EPERM;
		log_warn("/dev/fuse: open%s",
			 errno == ENOENT || errno == ENODEV || errno == ENXIO
				 ? " (does the container have the device? "
				   "modprobe fuse?)"
				 : "");
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
		log_warnx("%s: mount: by fusermount3: %s%s", m->path, says,
			  strstr(says, "/dev/fuse: Permission denied") ?
				  MOUNT_SEE_PROBE : "");
	else if (access("/dev/fuse", R_OK | W_OK))
		log_warnx("%s: mount: not permitted: /dev/fuse: %s; and there "
			  "is no fusermount3 of the package fuse3" MOUNT_SEE_PROBE,
			  m->path, strerror(errno));
	else
		log_warnx(
			"%s: mount: not permitted: it requires root "
			"(CAP_SYS_ADMIN), fusermount3 of the package fuse3, or "
			"a mount that is passed in (rawfuse-mount)",
			m->path);
	return m->fd;
}

/*
 * What is mounted at the place now is our mount: takes its numbers. Where the
 * kernel does not tell them by statx(2) (before Linux 5.8), by the path.
 */
static void recognise(struct mount *m)
{
	struct mountinfo info;
	struct statx stx;

	if (statx(m->place.dir, m->place.name,
		  AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, STATX_MNT_ID,
		  &stx) ||
	    !(stx.stx_mask & STATX_MNT_ID)) {
		if (mountinfo_find(m->path, &info) && info.is_rawfuse) {
			m->connection = info.minor;
			m->old_id = info.id;
		}
		return;
	}
	m->connection = stx.stx_dev_minor;
	m->old_id = (unsigned int)stx.stx_mnt_id;
	m->id = unmount_id(m->place.dir, m->place.name);
}

int mount_start(struct mount *m, const struct mount_options *opt)
{
	int point, ret;

	*m = (struct mount){ .fd = -1,
			     .socket = -1,
			     .mtime = opt->mtime,
			     .uid = opt->has_owner ? opt->uid : getuid(),
			     .gid = opt->has_owner ? opt->gid : getgid(),
			     .place = { .dir = -1 } };
	if (opt->socket || passed_number(opt->path) >= 0) {
		ret = passed_start(m, opt);
		if (ret)
			mount_finish(m);
		return ret;
	}
	ret = find_place(m, opt);
	if (ret)
		return ret;
	m->named = true;
	point = open_point(m, opt);
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
	recognise(m);
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
	if (m->passed)
		passed_finish(m);
	else if (m->mounted)
		unmount(m, true);
	m->mounted = false;
}

void mount_finish(struct mount *m)
{
	if (!m->path)
		return;
	if (m->teller > 0)
		waitpid(m->teller, NULL, 0);
	if (m->undo > 0)
		waitpid(m->undo, NULL, 0);
	mount_detach(m);
	made_remove(&m->made, &m->place);
	place_close(&m->place);
	*m = (struct mount){ .fd = -1, .socket = -1, .place = { .dir = -1 } };
}
