/*
 * --probe: what this machine offers, and how to get what is missing. The
 * FUSE ABI is asked of the kernel itself: a child mounts /dev/fuse in a mount
 * namespace of its own, where nobody sees it, and reads the INIT request.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/budget.h"
#include "cli/cgroup.h"
#include "cli/machine.h"
#include "cli/probe.h"
#include "cli/trial.h"
#include "cli/wrap.h"
#include "fuse/abi.h"
#include "fuse/init.h"
#include "fuse/mount.h"
#include "loop/uring.h"

#define LEFT 23 /* where the values begin */

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	/* If it fails, the mount does, and that is reported. */
	(void)!write(fd, text, strlen(text));
	close(fd);
}

/* In the child: reads INIT of a mount that nobody sees. */
static int read_init(struct fuse_init_in *init)
{
	uint8_t buf[FUSE_MIN_PAYLOAD + 4096];
	char data[128], map[64];
	unsigned int uid = getuid(), gid = getgid();
	int fd;

	if (unshare(CLONE_NEWNS)) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
			return errno;
		snprintf(map, sizeof(map), "%u %u 1\n", uid, uid);
		write_text("/proc/self/uid_map", map);
		write_text("/proc/self/setgroups", "deny");
		snprintf(map, sizeof(map), "%u %u 1\n", gid, gid);
		write_text("/proc/self/gid_map", map);
	}
	/* Not before: it must be of the namespace that it is mounted in. */
	fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return errno;
	/* Or else all would see what is mounted here. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return errno;
	snprintf(data, sizeof(data), "fd=%d,rootmode=%o,user_id=%u,group_id=%u",
		 fd, S_IFDIR, uid, gid);
	if (mount("rawfuse", "/proc", "fuse.rawfuse", 0, data))
		return errno;
	if (read(fd, buf, sizeof(buf)) < (ssize_t)(40 + sizeof(*init)))
		return EPROTO;
	memcpy(init, buf + sizeof(struct fuse_in_header), sizeof(*init));
	return 0;
}

/* The kernel's INIT; returns 0 or an errno. */
static int ask_kernel(struct fuse_init_in *init)
{
	int fds[2], err = EIO;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return errno;
	pid = fork();
	if (!pid) {
		err = read_init(init);
		if (write(fds[1], &err, sizeof(err)) < 0 ||
		    write(fds[1], init, sizeof(*init)) < 0)
			_exit(1);
		_exit(0);
	}
	close(fds[1]);
	if (pid < 0 || read(fds[0], &err, sizeof(err)) != sizeof(err) ||
	    read(fds[0], init, sizeof(*init)) != sizeof(*init))
		err = err ? err : EIO;
	close(fds[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return err;
}

static void line(const char *name, const char *value, const char *how)
{
	printf("%-22s ", name);
	wrap_print(value, LEFT);
	if (!how)
		return;
	printf("%-22s ", "");
	wrap_print(how, LEFT);
}

/* Something to be pasted to a shell of root, on a line of its own; or NULL. */
static void as_root(const char *command)
{
	if (command)
		printf("%22s as root:\n    %s\n", "", command);
}

static bool has_sys_admin(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct caps[2] = { { 0 } };

	syscall(SYS_capget, &head, caps);
	return caps[0].effective >> CAP_SYS_ADMIN & 1;
}

static void probe_pools(uint64_t offered)
{
	const char *why = NULL;

	if (!(offered & FUSE_HAS_IO_URING_BUFPOOL)) {
		line("buffer pools", "no",
		     "Linux 7.3 has them, with FUSE over io_uring");
		why = "it requires buffer pools";
	} else {
		line("buffer pools", "yes", NULL);
	}
	if (!why && !machine_initial_userns())
		why = "it is not for a user namespace (a rootless container)";
	else if (!why && !has_sys_admin())
		why = "it requires CAP_SYS_ADMIN";
	line("zero-copy", why ? "no" : "yes",
	     why ? why
		 : "--zero-copy uses it; not for a file that the kernel itself "
		   "does direct I/O on, as a loop device may");
}

static void probe_passthrough(uint64_t flags)
{
	if (!(flags & FUSE_PASSTHROUGH))
		line("FUSE passthrough", "no",
		     "Linux 6.9 with CONFIG_FUSE_PASSTHROUGH has it");
	else if (!has_sys_admin() || !machine_initial_userns())
		line("FUSE passthrough", "not permitted",
		     "it requires CAP_SYS_ADMIN in the initial user namespace");
	else
		line("FUSE passthrough", "yes",
		     "--passthrough uses it: its I/O is not counted, O_DIRECT "
		     "must be aligned, and writing requires --growable");
}

/* The ABI, from the trial or a mount in a user namespace. False: unknown. */
static bool probe_abi(const struct trial *t, struct fuse_init_in *init)
{
	int err = 0;
	char text[64];

	*init = t->init;
	if (!t->has_init)
		err = ask_kernel(init);
	if (err) {
		snprintf(text, sizeof(text), "unknown: %s", strerror(err));
		line("FUSE ABI", text, "it is known when a mount works");
		return false;
	}
	snprintf(text, sizeof(text), "%u.%u", init->major, init->minor);
	line("FUSE ABI", text,
	     init->minor < FUSE_MINOR_LEAST ? "7.31 (Linux 5.4) is the least"
					    : NULL);
	return true;
}

/* The package that has fusermount3, by the first package manager found. */
static const char *install_fuse3(void)
{
	static const char *const managers[][2] = {
		{ "/usr/bin/apt-get", "apt-get install fuse3" },
		{ "/usr/bin/dnf", "dnf install fuse3" },
		{ "/sbin/apk", "apk add fuse3" },
		{ "/usr/bin/pacman", "pacman -S fuse3" },
		{ "/usr/bin/zypper", "zypper install fuse3" },
	};
	size_t i;

	for (i = 0; i < sizeof(managers) / sizeof(*managers); i++)
		if (!access(managers[i][0], X_OK))
			return managers[i][1];
	return NULL;
}

static void probe_mount(const struct trial *t)
{
	if (t->mounted)
		line("mount", t->by_helper ? "yes, by fusermount3" : "yes",
		     NULL);
	else
		line("mount", "no", t->why);
	if (!t->mounted && strstr(t->why, "of the package fuse3"))
		as_root(install_fuse3());
}

/* Returns why there is no FUSE over io_uring, or NULL if there is. */
static const char *probe_fuse(const struct trial *t)
{
	struct fuse_init_in init = { 0 };
	const char *why, *command = NULL;
	uint64_t flags;
	const char *wrong = mount_wrong_device();
	bool known, unknown;
	char text[160];

	if (wrong) {
		snprintf(text, sizeof(text),
			 "%s; a container requires --device /dev/fuse; on a "
			 "machine,",
			 wrong);
		line("/dev/fuse", "no", text);
		as_root("rm /dev/fuse && mknod -m 666 /dev/fuse c 10 229");
	} else if (!access("/dev/fuse", R_OK | W_OK)) {
		line("/dev/fuse", "yes", NULL);
	} else if (errno == ENOENT) {
		line("/dev/fuse", strerror(errno),
		     "a container requires --device /dev/fuse; on a machine,");
		as_root("modprobe fuse");
	} else {
		line("/dev/fuse", strerror(errno),
		     "only root may use it; to allow all users,");
		as_root("chmod 666 /dev/fuse");
	}
	probe_mount(t);
	known = probe_abi(t, &init);
	flags = (uint64_t)init.flags2 << 32 | init.flags;
	why = flags & FUSE_OVER_IO_URING ? NULL : init_why_no_uring(&command);
	/* The kernel has not been asked, and nothing can be read. */
	unknown = !known && !init_can_tell_uring();
	if (unknown)
		why = "it is not known, because /sys cannot be read";
	line("FUSE over io_uring",
	     flags & FUSE_OVER_IO_URING ? "yes"
	     : unknown			? "unknown"
	     : why			? "no"
					: "enabled",
	     why);
	as_root(why && !unknown ? command : NULL);
	if (known) {
		probe_pools(flags);
		probe_passthrough(flags);
		if (!why && !(flags & FUSE_OVER_IO_URING))
			why = "the kernel does not offer it";
	}
	return why;
}

/* Returns why requests cannot come by io_uring, or NULL if they can. */
static const char *probe_ring(void)
{
	static const char old[] = "FUSE requests require Linux 6.1";
	const char *why, *command;
	struct uring u;
	int ret = uring_init(&u, 8, 16);
	bool good;

	if (ret) {
		why = machine_why_no_io_uring(-ret, &command);
		line("io_uring", strerror(-ret), why);
		as_root(command);
		return why;
	}
	good = u.sqe128;
	line("io_uring", good ? "yes" : "old", good ? NULL : old);
	uring_exit(&u);
	return good ? NULL : old;
}

static void probe_rights(void)
{
	struct rlimit lim = { 0 };
	char text[64];

	line("CAP_SYS_ADMIN", has_sys_admin() ? "yes" : "no",
	     has_sys_admin() ? NULL
			     : "fusermount3 mounts (package fuse3)");
	getrlimit(RLIMIT_MEMLOCK, &lim);
	if (lim.rlim_cur == RLIM_INFINITY)
		snprintf(text, sizeof(text), "unlimited");
	else
		snprintf(text, sizeof(text), "%llu KiB",
			 (unsigned long long)lim.rlim_cur >> 10);
	line("locked memory", text, NULL);
}

static void probe_memory(void)
{
	uint64_t limit = cgroup_memory_limit("");
	char text[96], size[24];

	if (limit == UINT64_MAX) {
		line("memory limit", "none", NULL);
		return;
	}
	snprintf(text, sizeof(text), "%s, of the control group",
		 budget_text(limit, size, sizeof(size)));
	line("memory limit", text,
	     "rawfuse uses half of it at most; --memory changes that");
}

int probe_run(void)
{
	struct utsname name;
	char text[64];
	const char *no_fuse, *no_ring;
	struct trial t;

	uname(&name);
	line("kernel", name.release, NULL);
	fflush(stdout);
	trial_run(&t);
	no_fuse = probe_fuse(&t);
	no_ring = probe_ring();
	snprintf(text, sizeof(text), "%u", machine_possible_cpus());
	line("possible CPUs", machine_possible_cpus() ? text : "unknown",
	     machine_possible_cpus()
		     ? NULL
		     : "/sys/devices/system/cpu/possible must be readable");
	snprintf(text, sizeof(text), "%lu KiB", machine_max_request() >> 10);
	line("largest request", text, NULL);
	probe_memory();
	probe_rights();
	if (!machine_possible_cpus() && !no_ring)
		no_ring = "/sys/devices/system/cpu/possible is not readable";
	if (t.mounted && !no_ring && !no_fuse)
		line("transport", "io_uring", NULL);
	else if (t.mounted)
		line("transport", "/dev/fuse", no_ring ? no_ring : no_fuse);
	else
		line("transport", "none", "a mount fails");
	return t.mounted ? EXIT_SUCCESS : EXIT_FAILURE;
}
