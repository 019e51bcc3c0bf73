/*
 * Memory that costs only what is touched of it. The kernel hands out ring
 * entries last-in-first-out, so of payloads for thousands of entries only
 * those a workload really uses at once become resident; a huge page would
 * make a whole neighbourhood so.
 */
#include "config.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuse/memory.h"

void *memory_map(size_t n, size_t size)
{
	void *addr;

	/* Queues, entries, bytes: 4 GiB are soon reached. */
	if (__builtin_mul_overflow(n, size, &size))
		return NULL;
	addr = mmap(NULL, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (addr == MAP_FAILED)
		return NULL;
	madvise(addr, size, MADV_DONTFORK);
	madvise(addr, size, MADV_NOHUGEPAGE);
	return addr;
}

void memory_unmap(void *addr, size_t size)
{
	if (addr)
		munmap(addr, size);
}

size_t memory_page(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* The kernel rounds up: what is next to it could be in use. */
void memory_drop(void *addr, size_t size)
{
	uintptr_t mask = memory_page() - 1;
	uintptr_t from = ((uintptr_t)addr + mask) & ~mask;
	uintptr_t to = ((uintptr_t)addr + size) & ~mask;

	if (from < to)
		madvise((void *)from, to - from, MADV_DONTNEED);
}
