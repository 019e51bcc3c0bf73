/*
 * Where the lines of the log go.
 *
 * | target  | how                            | what may be full             |
 * |---------|--------------------------------|------------------------------|
 * | stderr  | "rawfuse: TEXT"                | as it is a file, or a pipe   |
 * | a FILE  | with time and process          | the same                     |
 * | syslog  | a datagram to /dev/log         | lost, and counted            |
 * | journal | a datagram of the journal's    | lost, and counted            |
 * |         | own protocol, with priority    |                              |
 *
 * The journal's own protocol rather than "<3>TEXT" on stderr: it works in the
 * background, where there is no stderr, and outside of a unit, too.
 *
 * Nothing of this waits. Sockets are told not to. Pipes and terminals are asked
 * first whether there is room for PIPE_BUF bytes, and not written to else. A
 * regular file cannot be asked: while the loop runs, the loop writes to it by
 * the ring. What cannot go out at once is kept in one buffer; what does not fit
 * there is lost, and the number of these lines told when there is room again.
 * What other processes write to the same pipe may still come between.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "loop/log.h"
#include "loop/log_target.h"
#include "loop/text.h"

#define LINE_MOST 8192 /* bytes; a line of 1 KiB, all escaped, as JSON */

#define END_WAIT 1000 /* ms */

enum target { TO_STDERR, TO_SYSLOG, TO_JOURNAL, TO_FILE };

static struct {
	enum target target;
	enum log_format format;
	bool chosen; /* by log_to(): the background changes nothing */
	bool both; /* stderr, too */
	int fd; /* a socket, or the FILE */
	bool stream; /* the socket of a syslogd that wants no datagrams */
	char path[PATH_MAX]; /* of the FILE, absolute */
	bool by_loop;
	bool drawn; /* the terminal shows how far some work is */
	size_t used, flying; /* bytes of kept; the first ones are being written */
	unsigned long long lost; /* lines */
} to = { .fd = -1 };

/* Not in there, whose bytes are in the program's file. */
static char kept[4 * LINE_MOST];

/*
 * Days since 1970 as a date; of years from March to February, so that a leap day
 * is the last one. By hand: gmtime(3) may look for files of time zones.
 */
static void civil(long long days, int *year, int *month, int *day)
{
	long long era, of_era, of_year, years, m;

	days += 719468; /* since 0000-03-01 */
	era = (days >= 0 ? days : days - 146096) / 146097;
	of_era = days - era * 146097;
	years = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) /
		365;
	of_year = of_era - (365 * years + years / 4 - years / 100);
	m = (5 * of_year + 2) / 153;
	*day = (int)(of_year - (153 * m + 2) / 5 + 1);
	*month = (int)(m < 10 ? m + 3 : m - 9);
	*year = (int)(years + era * 400 + (*month <= 2));
}

char *log_time(char *text, long long seconds, long ns)
{
	long long days = seconds / 86400, rest = seconds % 86400;
	int year, month, day;

	if (rest < 0) {
		rest += 86400;
		days--;
	}
	civil(days, &year, &month, &day);
	snprintf(text, LOG_TIME, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ", year,
		 month, day, (int)(rest / 3600), (int)(rest / 60 % 60),
		 (int)(rest % 60), ns / 1000000);
	return text;
}

static const char *now(char *text)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return log_time(text, ts.tv_sec, ts.tv_nsec);
}

static const char *level(int priority)
{
	return priority <= LOG_ERR ? "error" :
	       priority == LOG_DEBUG ? "debug" :
				       "info";
}

/* The line as the format has it, with its end. Returns its length. */
static size_t format(char line[LINE_MOST], int priority, const char *text,
		     bool file)
{
	char time[LOG_TIME];
	int n;

	if (to.format == LOG_JSON) {
		n = snprintf(line, LINE_MOST,
			     "{\"time\":\"%s\",\"level\":\"%s\","
			     "\"program\":\"rawfuse\",\"pid\":%ld,"
			     "\"message\":",
			     now(time), level(priority), (long)getpid());
		text_json(line + n, LINE_MOST - (size_t)n - 2, text);
		strcat(line, "}\n");
	} else {
		n = file ? snprintf(line, LINE_MOST, "%s rawfuse[%ld]: ",
				    now(time), (long)getpid()) :
			   snprintf(line, LINE_MOST, "rawfuse: ");
		text_escape(line + n, LINE_MOST - (size_t)n - 1, text);
		strcat(line, "\n");
	}
	return strlen(line);
}

static bool is_regular(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISREG(st.st_mode);
}

static bool has_room(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	/* An error is the write's to find. */
	return poll(&p, 1, 0) != 0;
}

/*
 * Writes as much as goes without waiting; what cannot be written ever is
 * dropped. Returns how many bytes are done with.
 */
static size_t write_some(int fd, const char *bytes, size_t len)
{
	bool regular = is_regular(fd);
	size_t done = 0, part;
	ssize_t n;

	while (done < len && (regular || has_room(fd))) {
		part = len - done;
		if (!regular && part > PIPE_BUF)
			part = PIPE_BUF;
		n = write(fd, bytes + done, part);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0)
			return len;
		done += (size_t)n;
	}
	return done;
}

static int stream_fd(void)
{
	return to.target == TO_FILE ? to.fd : STDERR_FILENO;
}

static void forget(size_t n)
{
	to.used -= n;
	memmove(kept, kept + n, to.used);
}

static void keep(const char *line, size_t len)
{
	if (to.used + len > sizeof(kept)) {
		to.lost++;
		return;
	}
	memcpy(kept + to.used, line, len);
	to.used += len;
}

/* The line that is there goes before another one comes. */
static void clear(void)
{
	static const char erase[] = "\r\033[K";

	if (to.drawn)
		write_some(STDERR_FILENO, erase, sizeof(erase) - 1);
	to.drawn = false;
}

void log_target_progress(const char *text)
{
	char line[512] = "rawfuse: ";
	struct winsize size = { .ws_col = 0 };
	size_t len, most;

	if ((to.target != TO_STDERR && !to.both) ||
	    (to.target == TO_STDERR && to.format == LOG_JSON) ||
	    !isatty(STDERR_FILENO))
		return;
	clear();
	if (!text)
		return;
	text_escape(line + 9, sizeof(line) - 9, text);
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || size.ws_col < 20)
		size.ws_col = 80;
	len = strlen(line);
	for (most = size.ws_col - 1u; len > most; len = most)
		while (most && (line[most] & 0xc0) == 0x80)
			most--;
	write_some(STDERR_FILENO, line, len);
	to.drawn = true;
}

static void put_stream(int priority, const char *text)
{
	char line[LINE_MOST];
	int fd = stream_fd();

	if (to.target == TO_STDERR)
		clear();
	keep(line, format(line, priority, text, to.target == TO_FILE));
	if (!to.flying && !(to.by_loop && is_regular(fd)))
		forget(write_some(fd, kept, to.used));
}

static bool connect_to(const char *name, int type)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	strcpy(at.sun_path, name);
	to.fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (to.fd < 0)
		return false;
	if (!connect(to.fd, (struct sockaddr *)&at, sizeof(at)))
		return true;
	close(to.fd);
	to.fd = -1;
	return false;
}

static bool connect_target(void)
{
	to.stream = false;
	if (to.target == TO_JOURNAL)
		return connect_to("/run/systemd/journal/socket", SOCK_DGRAM);
	if (connect_to("/dev/log", SOCK_DGRAM))
		return true;
	to.stream = errno == EPROTOTYPE;
	return to.stream && connect_to("/dev/log", SOCK_STREAM);
}

/* A daemon that was started anew is found again. */
static void send_line(const char *line, size_t len)
{
	bool again;

	for (again = true; to.fd >= 0 || connect_target(); again = false) {
		if (send(to.fd, line, len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return;
		if (errno == EAGAIN || errno == ENOBUFS)
			break;
		close(to.fd);
		to.fd = -1;
		if (!again)
			break;
	}
	to.lost++;
}

/*
 * Without the time, which the daemon knows better, and the name of the machine:
 * what RFC 3164 says of such lines is what daemons do.
 */
static void put_socket(int priority, const char *text)
{
	char message[LINE_MOST], line[LINE_MOST + 128];
	size_t len;

	if (to.format == LOG_JSON)
		message[format(message, priority, text, false) - 1] = '\0';
	else
		text_escape(message, sizeof(message), text);
	if (to.target == TO_JOURNAL)
		snprintf(line, sizeof(line),
			 "PRIORITY=%d\nSYSLOG_IDENTIFIER=rawfuse\n"
			 "SYSLOG_PID=%ld\nMESSAGE=%s\n",
			 priority, (long)getpid(), message);
	else
		snprintf(line, sizeof(line), "<%d>rawfuse[%ld]: %s",
			 LOG_DAEMON | priority, (long)getpid(), message);
	len = strlen(line);
	send_line(line, len + to.stream); /* a stream's lines end with NUL */
}

static void put(int priority, const char *text)
{
	if (to.target == TO_SYSLOG || to.target == TO_JOURNAL)
		put_socket(priority, text);
	else
		put_stream(priority, text);
}

static void tell_lost(void)
{
	unsigned long long n = to.lost;
	char text[80];

	if (!n || to.used + LINE_MOST > sizeof(kept))
		return;
	to.lost = 0;
	snprintf(text, sizeof(text), "%llu line%s of this log %s lost here", n,
		 n == 1 ? "" : "s", n == 1 ? "is" : "are");
	put(LOG_ERR, text);
	if (to.lost)
		to.lost = n; /* it, too: no more than that */
}

void log_target_put(int priority, const char *text)
{
	char line[LINE_MOST];
	size_t len;

	if (to.both) {
		clear();
		text_escape(line + 9, sizeof(line) - 10, text);
		memcpy(line, "rawfuse: ", 9);
		len = strlen(line);
		line[len++] = '\n';
		write_some(STDERR_FILENO, line, len);
	}
	tell_lost();
	put(priority, text);
}

void log_target_by_loop(bool on)
{
	to.by_loop = on;
	if (!on && !to.flying && to.used)
		forget(write_some(stream_fd(), kept, to.used));
}

bool log_target_next(int *fd, const char **bytes, size_t *len)
{
	if (!to.used || to.flying)
		return false;
	*fd = stream_fd();
	if (!is_regular(*fd))
		return false;
	*bytes = kept;
	*len = to.flying = to.used;
	return true;
}

void log_target_done(int result)
{
	size_t done = result > 0 ? (size_t)result : to.flying;

	/* What cannot be written is dropped, or it would be tried for ever. */
	forget(done < to.flying ? done : to.flying);
	to.flying = 0;
	if (!to.by_loop)
		log_target_by_loop(false);
}

bool log_target_stuck(void)
{
	if (!to.used || to.flying || is_regular(stream_fd()))
		return false;
	forget(write_some(stream_fd(), kept, to.used));
	return to.used;
}

/* The FILE by a path that chdir(2) leaves as it is. */
static int make_absolute(const char *file)
{
	size_t len = 0;

	if (*file != '/') {
		if (!getcwd(to.path, sizeof(to.path) - 1))
			return -errno;
		len = strlen(to.path);
		to.path[len++] = '/';
	}
	if (len + strlen(file) >= sizeof(to.path))
		return -ENAMETOOLONG;
	strcpy(to.path + len, file);
	return 0;
}

static int open_file(void)
{
	/* A FIFO that nobody reads, or a terminal, must hold up nothing. */
	int fd = open(to.path,
		      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY |
			      O_NONBLOCK,
		      0640);

	if (fd < 0)
		return -errno;
	if (to.fd >= 0)
		close(to.fd);
	to.fd = fd;
	return 0;
}

static int choose(const char *name)
{
	int ret;

	if (!strcmp(name, "stderr"))
		return 0;
	to.both = true;
	if (!strcmp(name, "syslog") || !strcmp(name, "journal")) {
		to.target = *name == 's' ? TO_SYSLOG : TO_JOURNAL;
		return connect_target() ? 0 : -errno;
	}
	to.target = TO_FILE;
	ret = make_absolute(name);
	return ret ? ret : open_file();
}

int log_to(const char *name, enum log_format format)
{
	int ret;

	to.format = format;
	if (!name)
		return 0;
	ret = choose(name);
	to.chosen = !ret;
	if (!ret)
		return 0;
	to.target = TO_STDERR;
	to.both = false;
	if (!strcmp(name, "journal") && ret != -EACCES)
		log_warnx("--log=journal: there is no journal of systemd here "
			  "(%s); give syslog, stderr or a file",
			  strerror(-ret));
	else
		log_warnx("--log=%s: %s", name, strerror(-ret));
	return ret;
}

void log_to_background(void)
{
	clear();
	to.both = false;
	if (to.chosen || to.target != TO_STDERR)
		return;
	to.target = TO_SYSLOG;
	to.used = 0; /* for the terminal, which is let go */
}

void log_to_foreground(void)
{
	clear();
	to.both = false;
}

bool log_keeps_stderr(void)
{
	return to.target == TO_STDERR && to.chosen;
}

void log_reopen(void)
{
	int ret;

	if (to.target != TO_FILE)
		return;
	ret = open_file();
	if (ret)
		log_warnx("--log=%s: %s: the old file is kept", to.path,
			  strerror(-ret));
}

bool log_target_flies(void)
{
	return to.flying;
}

void log_end(void)
{
	struct pollfd p = { .fd = stream_fd(), .events = POLLOUT };
	size_t before;

	while (to.used && !to.flying && poll(&p, 1, END_WAIT) > 0) {
		before = to.used;
		forget(write_some(p.fd, kept, to.used));
		if (to.used == before)
			break; /* a terminal that only says that it has room */
	}
}

void log_reset(void)
{
	if (to.fd >= 0)
		close(to.fd);
	to.target = TO_STDERR;
	to.format = LOG_TEXT;
	to.chosen = to.both = to.by_loop = to.drawn = false;
	to.fd = -1;
	to.used = to.flying = 0;
	to.lost = 0;
}
