/* The insides of the faked kernel, for fake.c and fake_ring.c. */
#ifndef UNIT_FAKE_INT_H
#define UNIT_FAKE_INT_H

#include "fake.h"

/* fake.c: keeps an answer. */
void fake_add_answer(struct fake *f, const struct fuse_out_header *out,
		     const void *data);

/* fake.c: the header of a request, as it is or as it lies. */
struct fuse_in_header fake_header(uint64_t unique, const struct fake_msg *m);

/* fake.c: an argument's bytes; zeros if the test did not care. */
void fake_put(uint8_t *to, const void *from, size_t len);

/* fake_ring.c: the hook of the emulated ring. */
void fake_command(void *arg, const struct io_uring_sqe *sqe, struct op *op);

/* fake_ring.c: gives a request to an entry, now or when there is a buffer. */
void fake_send_ring(struct fake *f, const struct fake_msg *m);
void fake_drop_pending(struct fake *f, unsigned int i);

#endif
