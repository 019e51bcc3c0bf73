/* How much memory the program may take, and what follows for its options. */
#ifndef RAWFUSE_CLI_BUDGET_H
#define RAWFUSE_CLI_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUDGET_LEAST (8u << 20) /* bytes; the least that --memory takes */

struct options;

struct budget {
	uint64_t bytes; /* in all; UINT64_MAX: there is no bound */
	bool said; /* by --memory; else it comes from @limit */
	uint64_t limit; /* of the control group; UINT64_MAX: none */
	uint64_t requests; /* of it, at most, for requests and their data */
	bool tight; /* the group has no room for written pages, either */
	uint64_t image; /* and for tables and caches; 0: the default bound */
};

/* The machine, as budget_fit() needs it. */
struct budget_machine {
	unsigned int queues; /* possible CPUs; 0: requests go by /dev/fuse */
	uint64_t limit; /* cgroup_memory_limit() */
	uint64_t max_request; /* bytes of the kernel's largest */
	uint64_t page;
};

/* This machine. */
void budget_machine(struct budget_machine *m);

/*
 * Cuts the largest request of @o to the kernel's, with a line if it was said.
 * Chooses of @o the queue depth, the largest request and the metadata cache,
 * as far as they were not said, so that all memory stays within --memory, or
 * within half of the control group's limit; fills @b. Returns 0, or -ENOMEM
 * after a line that says what does not fit.
 */
int budget_fit(struct budget *b, struct options *o,
	       const struct budget_machine *m);

/* "8M", "1000k" or "4097": @bytes in the largest unit that divides them. */
const char *budget_text(uint64_t bytes, char *text, size_t size);

#endif
