/* Memory that costs only what is touched of it. */
#ifndef RAWFUSE_FUSE_MEMORY_H
#define RAWFUSE_FUSE_MEMORY_H

#include <stddef.h>

/*
 * Maps @n times @size zeroed bytes, page-aligned: not reserved, not inherited
 * by children, never in huge pages. NULL if there is no room.
 */
void *memory_map(size_t n, size_t size);
void memory_unmap(void *addr, size_t size);

/* Bytes of one of the system's pages. */
size_t memory_page(void);

/* Gives whole pages within it back; they read as zeros again. */
void memory_drop(void *addr, size_t size);

#endif
