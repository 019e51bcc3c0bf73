/*
 * rawfuse-mount: the half that has the right to mount.
 *
 * It mounts, and passes the opened /dev/fuse on: to a command that it runs, or
 * to a client of a socket. Which mount is made is said on its own command line,
 * never by the client, who gets the descriptor and may ask for the mount to be
 * taken away. It is not to be set-user-ID: whoever calls it chooses the place.
 *
 * It keeps no copy of the descriptor, because a connection lives as long as
 * anybody has it open: when the server ends, callers must get errors.
 *
 * One server at a time. What may wait for the server, which is to unmount, a
 * child process does (mount_undo_start()).
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/words.h"
#include "fuse/fdinfo.h"
#include "fuse/fdpass.h"
#include "fuse/mount.h"
#include "fuse/passed.h"
#include "fuse/place.h"
#include "fuse/point.h"
#include "fuse/unmount.h"
#include "loop/log.h"

#define STATUS_USAGE 2
#define STATUS_NOT_RUN 127
#define ROUNDS 16u /* mounts that lie one over the other */
#define THE_FD 3 /* of the command */
#define TEXT_MOST (PATH_MAX + 128)

struct half {
	struct mount_options opt;
	struct mount mount;
	bool is_mounted;
	bool replace;
	bool has_user;
	const char *socket; /* NULL: a command */
	char **command;
	int signals; /* signalfd */
	int listener, client; /* -1: none */
	pid_t child; /* the command; 0: none */
	int status; /* of it */
	bool ending;
	int action; /* 'h': help, 'V': version, 0: mount */
};

static void put_line(const char *line)
{
	fprintf(stderr, "rawfuse-mount: %s\n", line);
}

static void usage(FILE *to)
{
	fputs("Usage: rawfuse-mount [-R] [-o LIST] [-u USER[:GROUP]] MOUNTPOINT "
	      "COMMAND [ARG]...\n"
	      "       rawfuse-mount [-R] [-o LIST] -u USER[:GROUP] -s SOCKET "
	      "MOUNTPOINT\n"
	      "COMMAND, as \"rawfuse -f IMAGE /dev/fd/3\", finds the mount as "
	      "descriptor 3.\n",
	      to);
}

static void help(void)
{
	usage(stdout);
	puts("\n"
	     "  -R                   first detach what a killed process left at "
	     "MOUNTPOINT\n"
	     "  -o LIST              allow_other, fsname=NAME, and mount(8)'s "
	     "words such as ro\n"
	     "  -u USER[:GROUP]      the owner of the file; COMMAND runs as this "
	     "user\n"
	     "  -s SOCKET            listen there; each client receives a "
	     "mount\n"
	     "  -h, --help           print this\n"
	     "  -V, --version        print the version\n"
	     "\n"
	     "Exit status: that of COMMAND; 1 failed, 2 usage.\n"
	     "Manual: man rawfuse-mount");
}

static bool number(const char *text, unsigned int *value)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	*value = (unsigned int)n;
	return *text >= '0' && *text <= '9' && !*end && n < UINT_MAX;
}

/* USER[:GROUP], names or numbers. False (logged) if there is no such. */
static bool parse_user(struct half *h, char *text)
{
	char *group = strchr(text, ':');
	struct passwd *pw;
	struct group *gr;
	bool has_group = group;

	if (group)
		*group++ = 0;
	pw = getpwnam(text);
	if (!pw && number(text, &h->opt.uid))
		pw = getpwuid(h->opt.uid);
	else if (pw)
		h->opt.uid = pw->pw_uid;
	else
		goto unknown;
	if (pw && !has_group)
		h->opt.gid = pw->pw_gid;
	else if (!has_group)
		goto no_group;
	else if ((gr = getgrnam(group)))
		h->opt.gid = gr->gr_gid;
	else if (!number(group, &h->opt.gid))
		goto unknown;
	h->has_user = h->opt.has_owner = true;
	return true;

unknown:
	log_warnx("-u: %s: there is no such %s", has_group && pw ? group : text,
		  has_group && pw ? "group" : "user");
	return false;
no_group:
	log_warnx("-u: %s: no user has that number; give USER:GROUP", text);
	return false;
}

/* The words of -o, cut up in place. False (logged) if one is not known. */
static bool parse_list(struct half *h, char *list)
{
	char *save, *word;

	for (word = strtok_r(list, ",", &save); word;
	     word = strtok_r(NULL, ",", &save)) {
		if (!strcmp(word, "allow_other"))
			h->opt.others = MOUNT_OTHERS_ON;
		else if (!strncmp(word, "fsname=", 7))
			h->opt.source = word + 7;
		else if (!words_mount(word, &h->opt.flags)) {
			log_warnx("-o: '%s' is not known here: it may be "
				  "allow_other, fsname=NAME, or what mount(8) "
				  "has for every file system",
				  word);
			return false;
		}
	}
	return true;
}

static bool parse(struct half *h, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	bool good = true;
	int c;

	while (good &&
	       (c = getopt_long(argc, argv, "+o:u:s:RhV", longs, NULL)) != -1) {
		if (c == 'o')
			good = parse_list(h, optarg);
		else if (c == 'u')
			good = parse_user(h, optarg);
		else if (c == 's')
			h->socket = optarg;
		else if (c == 'R')
			h->replace = true;
		else if (c == 'h' || c == 'V')
			h->action = c;
		else
			good = false;
		if (h->action)
			return true;
	}
	if (!good || argc - optind < (h->socket ? 1 : 2) ||
	    (h->socket && argc - optind > 1))
		return false;
	if (h->socket && !h->has_user) {
		log_warnx("-s: -u USER is missing: who may be a client?");
		return false;
	}
	h->opt.path = argv[optind];
	h->command = argv + optind + 1;
	return true;
}

/* There is a mount; -R detaches it if its server is gone. False (logged) else. */
static bool detach_dead(const struct half *h, const struct place *p)
{
	uint64_t id = unmount_id(p->dir, p->name);
	enum point_state state = POINT_ALIVE;
	long pid = 0;
	int ret;

	if (h->replace) {
		state = point_ask(p);
		if (state == POINT_ALIVE)
			pid = (long)fdinfo_server(point_connection(p));
	}
	if (!h->replace)
		log_warnx("%s: mount: a rawfuse mount is there already; umount "
			  "%s first, or, if its process was killed, give -R",
			  p->path, p->path);
	else if (state == POINT_SILENT)
		log_warnx("%s: -R: the mount there neither answers nor is "
			  "dead; umount -l %s first",
			  p->path, p->path);
	else if (state == POINT_ALIVE && pid)
		log_warnx("%s: -R: process %ld serves it; umount %s first",
			  p->path, pid, p->path);
	else if (state == POINT_ALIVE)
		log_warnx("%s: -R: an export is alive there; umount %s first",
			  p->path, p->path);
	if (state != POINT_DEAD)
		return false;
	ret = point_unmount(p, id, true);
	if (ret && ret != EINVAL) {
		log_warnx("%s: -R: detaching the dead mount: %s", p->path,
			  strerror(ret));
		return false;
	}
	log_info("%s: what a killed process had left is detached", p->path);
	return true;
}

/* Mounts may lie one over the other. */
static bool clear_place(const struct half *h)
{
	struct place p;
	const char *why;
	bool mounted = true, good = true;
	unsigned int rounds;

	for (rounds = 0; good && mounted && rounds < ROUNDS; rounds++) {
		if (place_open(&p, h->opt.path, &why))
			return true; /* mounting reports why */
		/* Mounting refuses the way to it. */
		mounted = p.mounted && !(p.strange && h->has_user);
		good = !mounted || detach_dead(h, &p);
		place_close(&p);
	}
	return good;
}

static bool start(struct half *h)
{
	h->is_mounted = clear_place(h) && !mount_start(&h->mount, &h->opt);
	return h->is_mounted;
}

static void finish(struct half *h)
{
	if (h->is_mounted)
		mount_finish(&h->mount);
	h->is_mounted = false;
	if (h->client >= 0)
		close(h->client);
	h->client = -1;
}

static void drop_fd(struct half *h)
{
	close(h->mount.fd);
	h->mount.fd = -1;
}

/* What the other half should know of the mount. */
static void describe(const struct half *h, char text[TEXT_MOST])
{
	bool named = !strchr(h->mount.path, '\n');

	snprintf(text, TEXT_MOST,
		 PASSED_FD "%d\n" PASSED_CONNECTION "%u\n" PASSED_UID
			   "%u\n" PASSED_GID "%u\n" PASSED_OTHERS "%d\n%s%s\n",
		 THE_FD, h->mount.connection, h->mount.uid, h->mount.gid,
		 h->mount.others, named ? PASSED_POINT : "",
		 named ? h->mount.path : "");
}

/* In the child: as that user, and nothing more. */
static bool become_user(const struct half *h)
{
	if (!h->has_user || (geteuid() && h->opt.uid == geteuid()))
		return true;
	if (setgroups(0, NULL) ||
	    setresgid(h->opt.gid, h->opt.gid, h->opt.gid) ||
	    setresuid(h->opt.uid, h->opt.uid, h->opt.uid) ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
		log_warn("-u: becoming user %u", h->opt.uid);
		return false;
	}
	return true;
}

static _Noreturn void be_command(const struct half *h)
{
	char text[TEXT_MOST];
	sigset_t none;
	int fd = h->mount.fd;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (fd == THE_FD ? fcntl(fd, F_SETFD, 0) : dup2(fd, THE_FD) < 0)
		_exit(STATUS_NOT_RUN);
	describe(h, text);
	if (!become_user(h) || setenv(PASSED_ENVIRONMENT, text, 1))
		_exit(STATUS_NOT_RUN);
	execvp(*h->command, h->command);
	log_warn("%s: exec", *h->command);
	_exit(STATUS_NOT_RUN);
}

static bool run_command(struct half *h)
{
	if (!start(h))
		return false;
	h->child = fork();
	if (!h->child)
		be_command(h);
	drop_fd(h);
	if (h->child > 0)
		return true;
	log_warn("fork");
	h->child = 0;
	finish(h);
	return false;
}

static int try_bind(int sock, const struct sockaddr_un *addr)
{
	mode_t mask = umask(0111); /* who it is for is asked of the kernel */
	int ret = bind(sock, (const struct sockaddr *)addr, sizeof(*addr));

	umask(mask);
	return ret ? -errno : 0;
}

/* Is the socket of that name one that nobody listens to? */
static bool is_stale(const struct sockaddr_un *addr)
{
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct stat st;
	bool stale;

	stale = !lstat(addr->sun_path, &st) && S_ISSOCK(st.st_mode) &&
		connect(sock, (const struct sockaddr *)addr, sizeof(*addr)) &&
		errno == ECONNREFUSED;
	if (sock >= 0)
		close(sock);
	return stale;
}

static bool listen_at(struct half *h)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int ret;

	if (strlen(h->socket) >= sizeof(addr.sun_path)) {
		log_warnx("%s: socket: the name is too long", h->socket);
		return false;
	}
	strcpy(addr.sun_path, h->socket);
	h->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ret = h->listener < 0 ? -errno : try_bind(h->listener, &addr);
	if (ret == -EADDRINUSE && is_stale(&addr) && !unlink(addr.sun_path))
		ret = try_bind(h->listener, &addr);
	if (!ret && listen(h->listener, 8))
		ret = -errno;
	if (ret)
		log_warnx("%s: socket: %s", h->socket, strerror(-ret));
	return !ret;
}

static bool tell_client(struct half *h)
{
	char text[TEXT_MOST];
	int ret;

	describe(h, text);
	ret = fdpass_send(h->client, h->mount.fd, text);
	drop_fd(h);
	if (ret)
		log_warnx("%s: passing it on: %s", h->mount.path,
			  strerror(-ret));
	return !ret;
}

static void meet_client(struct half *h)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	h->client = accept4(h->listener, NULL, NULL, SOCK_CLOEXEC);
	if (h->client < 0)
		return;
	if (getsockopt(h->client, SOL_SOCKET, SO_PEERCRED, &who, &len) ||
	    (who.uid && who.uid != h->opt.uid)) {
		log_warnx("%s: refused: user %u may not be a client", h->socket,
			  who.uid);
		finish(h);
		return;
	}
	if (!start(h) || !tell_client(h))
		finish(h);
}

/* It asks, or has gone. */
static void hear_client(struct half *h)
{
	char byte;
	ssize_t n = recv(h->client, &byte, 1, MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n == 1 && (byte == PASSED_UNMOUNT || byte == PASSED_DETACH)) {
		if (h->mount.undo <= 0)
			mount_undo_start(&h->mount, byte == PASSED_DETACH);
		return;
	}
	finish(h);
}

/* The child that unmounts has ended. */
static void undone(struct half *h, int status)
{
	unsigned char err =
		WIFEXITED(status) ? (unsigned char)WEXITSTATUS(status) : ECHILD;

	h->mount.undo = 0;
	if (h->client >= 0)
		send(h->client, &err, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void reap(struct half *h)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == h->child) {
			h->child = 0;
			h->status = WIFEXITED(status) ? WEXITSTATUS(status)
						      : 128 + WTERMSIG(status);
		} else if (h->is_mounted && pid == h->mount.undo) {
			undone(h, status);
		}
	}
}

/*
 * A signal: the mount goes first, so that nobody opens it any more; then the
 * command is told to end. From a terminal it got the signal itself.
 */
static void end(struct half *h, const struct signalfd_siginfo *info)
{
	h->ending = true;
	if (!h->child)
		return;
	if (h->mount.undo <= 0)
		mount_undo_start(&h->mount, true);
	if (info->ssi_code != SI_KERNEL)
		kill(h->child, SIGTERM);
}

static void hear_signal(struct half *h)
{
	struct signalfd_siginfo info;

	if (read(h->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGCHLD)
		reap(h);
	else
		end(h, &info);
}

/* Until the command has ended, or a signal ends the listener. */
static void serve(struct half *h)
{
	struct pollfd p[2] = { { .fd = h->signals, .events = POLLIN } };

	while (h->socket ? !h->ending : h->child > 0) {
		/* While one is served the next one waits. */
		p[1].fd = h->client >= 0 ? h->client : h->listener;
		p[1].events = POLLIN;
		if (poll(p, h->socket ? 2 : 1, -1) < 0 && errno != EINTR)
			break;
		if (p[0].revents)
			hear_signal(h);
		else if (!h->socket || !p[1].revents)
			continue;
		else if (h->client >= 0)
			hear_client(h);
		else
			meet_client(h);
	}
	finish(h);
	if (h->socket)
		unlink(h->socket);
}

static bool take_signals(struct half *h)
{
	static const int signums[] = { SIGCHLD, SIGTERM, SIGINT, SIGHUP };
	sigset_t set;
	size_t i;

	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&set);
	for (i = 0; i < sizeof(signums) / sizeof(*signums); i++)
		sigaddset(&set, signums[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	h->signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (h->signals < 0)
		log_warn("signalfd");
	return h->signals >= 0;
}

int main(int argc, char **argv)
{
	struct half h = { .opt = { .source = "rawfuse",
				   .others = MOUNT_OTHERS_OFF },
			  .listener = -1,
			  .client = -1 };

	log_set_tap(put_line);
	if (!parse(&h, argc, argv)) {
		if (!*log_last())
			usage(stderr);
		return STATUS_USAGE;
	}
	if (h.action) {
		if (h.action == 'h')
			help();
		else
			puts("rawfuse-mount " PACKAGE_VERSION);
		return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	clock_gettime(CLOCK_REALTIME, &h.opt.mtime);
	if (!take_signals(&h) || (h.socket ? !listen_at(&h) : !run_command(&h)))
		return EXIT_FAILURE;
	serve(&h);
	return h.status;
}
