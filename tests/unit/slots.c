/* Registered buffers of an emulated ring. */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "slots.h"

struct slots slots;

static struct slot {
	uint8_t *memory;
	size_t len;
	uint64_t base;
	enum block_type type;
} table[SLOTS];

static struct held {
	struct uring *u;
	struct io_uring_sqe sqe;
	struct op *op;
} held[SLOTS];

void slots_start(struct uring *u)
{
	slots = (struct slots){ 0 };
	memset(table, 0, sizeof(table));
	u->emu.cmd_hook = slots_hook;
	u->emu.cmd_arg = u;
}

void slots_set(unsigned int i, void *memory, size_t len, enum block_type type,
	       bool address)
{
	ck_assert_uint_lt(i, SLOTS);
	ck_assert_ptr_null(table[i].memory);
	table[i] = (struct slot){ memory, len, address ? (uintptr_t)memory : 0,
				  type };
}

void slots_clear(unsigned int i)
{
	ck_assert_uint_lt(i, SLOTS);
	ck_assert_ptr_nonnull(table[i].memory);
	table[i].memory = NULL;
}

uint8_t *slots_find(unsigned int i, uint64_t addr, uint64_t len,
		    enum block_type type)
{
	struct slot *s = &table[i];

	ck_assert_uint_lt(i, SLOTS);
	ck_assert_msg(s->memory, "slot %u is empty", i);
	ck_assert_uint_ge(addr, s->base);
	ck_assert_uint_le(addr - s->base, s->len);
	ck_assert_uint_le(len, s->len - (addr - s->base));
	/* Both ways only what has an address, as a registered pool. */
	if (!s->base)
		ck_assert_int_eq(s->type, type);
	return s->memory + (addr - s->base);
}

static bool scripted(void)
{
	struct slots_script *s = &slots.script;

	if (s->skip) {
		s->skip--;
		return false;
	}
	if (!s->times)
		return false;
	s->times--;
	return true;
}

static void carry_out(struct uring *u, const struct io_uring_sqe *sqe,
		      struct op *op)
{
	bool reads = sqe->opcode == IORING_OP_READ_FIXED;
	int fd = u->emu.files[sqe->fd];
	size_t len = sqe->len;
	ssize_t ret = 1;
	uint8_t *at;

	ck_assert(sqe->flags & IOSQE_FIXED_FILE);
	ck_assert(reads || sqe->opcode == IORING_OP_WRITE_FIXED);
	ck_assert_uint_gt(len, 0);
	at = slots_find(sqe->buf_index, sqe->addr, len,
			reads ? BLOCK_READ : BLOCK_WRITE);
	slots.copies++;
	if (scripted()) {
		ret = slots.script.res;
		if (ret > 0 && len > (size_t)ret)
			len = (size_t)ret;
	}
	if (ret > 0) {
		ret = reads ? pread(fd, at, len, (off_t)sqe->off)
			    : pwrite(fd, at, len, (off_t)sqe->off);
		if (ret < 0)
			ret = -errno;
	}
	uring_post(u, op, (int)ret);
}

void slots_hook(void *arg, const struct io_uring_sqe *sqe, struct op *op)
{
	if (!slots.hold) {
		carry_out(arg, sqe, op);
		return;
	}
	ck_assert_uint_lt(slots.held_n, SLOTS);
	held[slots.held_n++] = (struct held){ arg, *sqe, op };
}

void slots_release(unsigned int i)
{
	struct held h = held[i];

	ck_assert_uint_lt(i, slots.held_n);
	slots.held_n--;
	memmove(held + i, held + i + 1, (slots.held_n - i) * sizeof(*held));
	carry_out(h.u, &h.sqe, h.op);
}
