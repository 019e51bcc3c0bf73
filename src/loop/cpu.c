/*
 * Where the loop's thread runs, and the system calls behind follow.c.
 *
 * Going back from SCHED_IDLE takes a right that many processes lack:
 * RLIMIT_NICE >= 20 - nice, or CAP_SYS_NICE in the initial user namespace.
 * A child tries it once, at the start: that answers for capabilities, limits,
 * namespaces and filters alike.
 *
 * The worker threads of io_uring inherit policy and affinity from the thread
 * that creates them. Their affinity is set by io_uring_register_iowq_aff();
 * their policy is put right whenever there are others than before (the link
 * count of /proc/self/task tells) and when the policy is left.
 */
#include "config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "loop/cpu.h"
#include "loop/log.h"

#define LONG_BITS (8 * sizeof(long))

static void set_add(struct cpu_set *set, unsigned long cpu)
{
	set->bits[cpu / LONG_BITS] |= 1ul << cpu % LONG_BITS;
}

static bool set_has(const struct cpu_set *set, unsigned long cpu)
{
	return cpu < CPUS_MOST &&
	       set->bits[cpu / LONG_BITS] >> cpu % LONG_BITS & 1;
}

static struct cpu_set set_of(unsigned int cpu)
{
	struct cpu_set set = { { 0 } };

	set_add(&set, cpu);
	return set;
}

static int get_affinity(struct cpu_set *set)
{
	memset(set, 0, sizeof(*set));
	return sched_getaffinity(0, sizeof(*set), (cpu_set_t *)set);
}

static int set_affinity(const struct cpu_set *set)
{
	return sched_setaffinity(0, sizeof(*set), (const cpu_set_t *)set);
}

static int set_policy(pid_t thread, int policy)
{
	struct sched_param param = { 0 };

	return sched_setscheduler(thread, policy, &param);
}

static int parse_number(const char **text, unsigned long *n)
{
	char *end;

	if (!isdigit((unsigned char)**text))
		return -EINVAL;
	*n = strtoul(*text, &end, 10);
	*text = end;
	return *n < CPUS_MOST ? 0 : -EINVAL;
}

static int parse_list(const char *text, struct cpu_set *set)
{
	unsigned long first, last;

	memset(set, 0, sizeof(*set));
	for (;; text++) {
		if (parse_number(&text, &first))
			return -EINVAL;
		last = first;
		if (*text == '-') {
			text++;
			if (parse_number(&text, &last) || last < first)
				return -EINVAL;
		}
		for (; first <= last; first++)
			set_add(set, first);
		if (!*text)
			return 0;
		if (*text != ',' && *text != '+')
			return -EINVAL;
	}
}

int cpu_parse(const char *text, enum cpu_mode *mode, struct cpu_set *set)
{
	struct cpu_set unused;

	if (!strcmp(text, "auto"))
		*mode = CPU_AUTO;
	else if (!strcmp(text, "follow"))
		*mode = CPU_FOLLOW;
	else if (!strcmp(text, "any"))
		*mode = CPU_ANY;
	else
		*mode = CPU_LIST;
	return *mode == CPU_LIST ? parse_list(text, set ? set : &unused) : 0;
}

int cpu_pin(const char *text)
{
	struct cpu_set set;
	enum cpu_mode mode;
	int err;

	if (cpu_parse(text, &mode, &set))
		return -EINVAL;
	if (mode != CPU_LIST || !set_affinity(&set))
		return 0;
	err = errno;
	log_warnx("--cpu=%s: %s: none of these CPUs is there and allowed "
		  "(taskset -p $$ shows those that are)",
		  text, strerror(err));
	return -err;
}

static uint64_t now(void *arg)
{
	struct timespec ts;

	(void)arg;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static uint64_t delay(void *arg)
{
	struct cpu *c = arg;
	char line[96], *second;
	ssize_t n = pread(c->schedstat_fd, line, sizeof(line) - 1, 0);

	if (n <= 0)
		return UINT64_MAX; /* as if we had never run */
	line[n] = 0;
	second = strchr(line, ' ');
	return second ? strtoull(second, NULL, 10) : UINT64_MAX;
}

static unsigned int count_threads(const struct cpu *c)
{
	struct stat st;

	return fstat(c->tasks_fd, &st) ? 0 : (unsigned int)st.st_nlink;
}

/* Workers that were created meanwhile are SCHED_IDLE as we were. */
static void free_workers(struct cpu *c)
{
	int fd = dup(c->tasks_fd);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *d;
	pid_t thread;

	c->threads = count_threads(c);
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	rewinddir(dir);
	while ((d = readdir(dir))) {
		thread = atoi(d->d_name);
		if (thread > 0 && thread != getpid() &&
		    sched_getscheduler(thread) == SCHED_IDLE)
			set_policy(thread, c->policy); /* or it has ended */
	}
	closedir(dir);
}

static bool join(void *arg, unsigned int cpu)
{
	struct cpu *c = arg;
	struct cpu_set set = set_of(cpu);
	struct cpu_set home;
	int policy = sched_getscheduler(0);

	if ((policy != SCHED_OTHER && policy != SCHED_BATCH) ||
	    get_affinity(&home) || !set_has(&home, cpu) || set_affinity(&set))
		return false;
	if (set_policy(0, SCHED_IDLE)) {
		set_affinity(&home);
		return false;
	}
	c->home = home;
	c->policy = policy;
	c->threads = count_threads(c);
	return true;
}

static bool is_only(const struct cpu_set *set, unsigned int cpu)
{
	struct cpu_set one = set_of(cpu);

	return !memcmp(set, &one, sizeof(one));
}

/* Not from where somebody else has put us: leave() is to find that. */
static bool move(void *arg, unsigned int cpu)
{
	struct cpu *c = arg;
	struct cpu_set set;

	if (get_affinity(&set) || !is_only(&set, c->follow->cpu))
		return false;
	set = set_of(cpu);
	return set_has(&c->home, cpu) && !set_affinity(&set);
}

static bool leave(void *arg)
{
	struct cpu *c = arg;
	struct cpu_set set;
	bool ok = !set_policy(0, c->policy);

	/* Where somebody else has put us meanwhile is where we stay. */
	if (!get_affinity(&set) && !is_only(&set, c->follow->cpu))
		c->home = set;
	else if (set_affinity(&c->home)) {
		/* None of them is left: wherever it is allowed. */
		memset(&set, 0xff, sizeof(set));
		set_affinity(&set);
	}
	if (count_threads(c) > 3) /* "." and ".." and this one */
		free_workers(c);
	return ok;
}

static bool look(void *arg, unsigned int cpu)
{
	struct cpu *c = arg;
	struct cpu_set set;

	if (count_threads(c) != c->threads)
		free_workers(c);
	return !get_affinity(&set) && is_only(&set, cpu) &&
	       sched_getscheduler(0) == SCHED_IDLE;
}

static const struct follow_ops system_ops = {
	.now = now,
	.delay = delay,
	.join = join,
	.move = move,
	.leave = leave,
	.look = look,
};

/* Whether a process like this one can go to SCHED_IDLE and back. */
static bool can_return(int policy)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return false;
	if (!pid)
		_exit(set_policy(0, SCHED_IDLE) || set_policy(0, policy));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

static unsigned int set_count(const struct cpu_set *set)
{
	unsigned int i, n = 0;

	for (i = 0; i < CPUS_MOST / LONG_BITS; i++)
		n += (unsigned int)__builtin_popcountl(set->bits[i]);
	return n;
}

bool cpu_is_one(void)
{
	struct cpu_set set;

	return !get_affinity(&set) && set_count(&set) < 2;
}

void cpu_share(void *arg, struct poll_share *share)
{
	struct rusage usage;

	*share = (struct poll_share){ 0 };
	if (getrusage(RUSAGE_THREAD, &usage))
		return;
	share->switches = (uint64_t)(usage.ru_nvcsw + usage.ru_nivcsw);
	share->delay = delay(arg);
}

/* The workers of io_uring run where we do, or did. */
static int place_workers(struct cpu *c)
{
	return io_uring_register_iowq_aff(&c->uring->ring, sizeof(c->home),
					  (const cpu_set_t *)&c->home);
}

static const char *find_why_not(struct cpu *c)
{
	c->policy = sched_getscheduler(0);
	if (c->uring->emulated)
		return "no io_uring";
	if (get_affinity(&c->home))
		return "its affinity is not known";
	if (set_count(&c->home) < 2)
		return "there is one CPU only";
	if (c->policy != SCHED_OTHER && c->policy != SCHED_BATCH)
		return "its policy is neither SCHED_OTHER nor SCHED_BATCH";
	c->tasks_fd =
		open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->schedstat_fd < 0 || c->tasks_fd < 0 || delay(c) == UINT64_MAX)
		return "/proc/thread-self/schedstat does not tell";
	if (!can_return(c->policy))
		return "no right to go back from SCHED_IDLE (CAP_SYS_NICE, or "
		       "ulimit -e 20)";
	if (place_workers(c))
		return "io_uring's workers cannot be left where they are";
	return NULL;
}

int cpu_init(struct cpu *c, const char *text, struct follow *follow,
	     struct uring *u)
{
	*c = (struct cpu){
		.follow = follow, .uring = u, .schedstat_fd = -1, .tasks_fd = -1
	};
	if (cpu_parse(text, &c->mode, NULL))
		return -EINVAL;
	c->schedstat_fd =
		open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	if (c->mode == CPU_LIST && !u->emulated && !get_affinity(&c->home) &&
	    place_workers(c))
		log_trace(TRACE_LIFE, "cpu: workers run on any CPU");
	if (c->mode != CPU_AUTO && c->mode != CPU_FOLLOW)
		return 0;
	c->why_not = find_why_not(c);
	if (c->why_not && c->mode == CPU_FOLLOW) {
		log_warnx("--cpu=follow: %s", c->why_not);
		return -EPERM;
	}
	if (c->why_not)
		log_trace(TRACE_LIFE, "cpu: not following: %s", c->why_not);
	else
		follow_init(follow, &system_ops, c);
	follow->eager = c->mode == CPU_FOLLOW;
	return 0;
}

void cpu_exit(struct cpu *c)
{
	follow_stop(c->follow);
	if (c->schedstat_fd >= 0)
		close(c->schedstat_fd);
	if (c->tasks_fd >= 0)
		close(c->tasks_fd);
	c->schedstat_fd = c->tasks_fd = -1;
}
