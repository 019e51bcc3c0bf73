/* Failures of an image's storage: what is said of them. */
#ifndef RAWFUSE_BLOCK_FAULT_H
#define RAWFUSE_BLOCK_FAULT_H

struct block;
struct block_req;

/*
 * @req has failed below @b with @error (-errno): tells the first one of each
 * kind, and how many more there were in a minute. Not what the caller has
 * asked for in vain (-EOPNOTSUPP).
 */
void fault_tell(struct block *b, const struct block_req *req, int error);

/* What was written to @b is lost, for good; the same. */
void fault_lost(struct block *b, int error);

/* @b goes away. */
void fault_forget(struct block *b);

#endif
