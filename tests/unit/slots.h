/*
 * Slots of the ring's table of registered buffers, as the emulated ring's hook
 * sees them: what READ_FIXED and WRITE_FIXED may reach, and nothing else.
 */
#ifndef UNIT_SLOTS_H
#define UNIT_SLOTS_H

#include "block/block.h"

#define SLOTS 64

/* Of the copies, those behind the first @skip, @times of them, end so: */
struct slots_script {
	unsigned int skip, times;
	int res; /* -errno or 0; more: that many bytes at most */
};

extern struct slots {
	struct slots_script script;
	unsigned int copies; /* commands that came */
	unsigned int held_n; /* with hold set they wait for slots_release() */
	bool hold;
} slots;

/* Forgets all; puts slots_hook() behind @u. */
void slots_start(struct uring *u);

/*
 * Slot @i is @memory, for requests of @type: with an address if @address, else
 * its bytes are at 0.
 */
void slots_set(unsigned int i, void *memory, size_t len, enum block_type type,
	       bool address);
void slots_clear(unsigned int i);

/* The @len bytes at @addr of slot @i, which must be there. */
uint8_t *slots_find(unsigned int i, uint64_t addr, uint64_t len,
		    enum block_type type);

/* Carries a command out; as uring_emulation's cmd_hook @arg is the ring. */
void slots_hook(void *arg, const struct io_uring_sqe *sqe, struct op *op);

/* Carries out the held command @i. */
void slots_release(unsigned int i);

#endif
