/*
 * deny ERRNO SYSCALL COMMAND...: runs COMMAND under a seccomp filter that
 * answers SYSCALL with ERRNO, as containers do.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
	const char *name;
	unsigned int value;
} words[] = {
	{ "EPERM", EPERM },
	{ "ENOSYS", ENOSYS },
	{ "ENOMEM", ENOMEM },
	{ "EACCES", EACCES },
	{ "ENOTTY", ENOTTY },
	{ "EIO", EIO },
	{ "io_uring_setup", SYS_io_uring_setup },
	{ "io_uring_enter", SYS_io_uring_enter },
	{ "io_uring_register", SYS_io_uring_register },
	{ "openat2", SYS_openat2 },
	{ "fcntl", SYS_fcntl },
};

static unsigned int value_of(const char *word)
{
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (!strcmp(word, words[i].name))
			return words[i].value;
	fprintf(stderr, "deny: %s: not known\n", word);
	exit(99);
}

int main(int argc, char **argv)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {
		.len = sizeof(code) / sizeof(*code),
		.filter = code,
	};

	if (argc < 4) {
		fprintf(stderr, "usage: deny ERRNO SYSCALL COMMAND...\n");
		return 99;
	}
	code[2].k |= value_of(argv[1]);
	code[1].k = value_of(argv[2]);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog)) {
		perror("deny: seccomp");
		return 99;
	}
	execvp(argv[3], argv + 3);
	perror(argv[3]);
	return 99;
}
