/*
 * What the benchmark needs and no tool has:
 *
 *     helper cpu PID...          microseconds of CPU of these processes, all
 *                                threads, ended ones and io_uring's included
 *     helper open FILE SECONDS   open, fstat, close: how often in a second
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static double now(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts)) {
		perror("clock_gettime");
		exit(1);
	}
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static int cpu(char **pid)
{
	double sum = 0;
	clockid_t clock;

	for (; *pid; pid++) {
		if (clock_getcpuclockid(atoi(*pid), &clock)) {
			fprintf(stderr, "helper: no process %s\n", *pid);
			return 1;
		}
		sum += now(clock);
	}
	printf("%.0f\n", sum * 1e6);
	return 0;
}

static int open_close(const char *name, double seconds)
{
	double start = now(CLOCK_MONOTONIC), used;
	struct stat st;
	long n = 0;
	int fd;

	do {
		fd = open(name, O_RDONLY);
		if (fd < 0 || fstat(fd, &st) || close(fd)) {
			perror(name);
			return 1;
		}
		n++;
		used = now(CLOCK_MONOTONIC) - start;
	} while (used < seconds);
	printf("%.0f %ld\n", n / used, n);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc >= 3 && !strcmp(argv[1], "cpu"))
		return cpu(argv + 2);
	if (argc == 4 && !strcmp(argv[1], "open"))
		return open_close(argv[2], atof(argv[3]));
	return 2;
}
