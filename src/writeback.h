/* The timer that brings to the image what answered requests left in memory. */
#ifndef RAWFUSE_WRITEBACK_H
#define RAWFUSE_WRITEBACK_H

#include "block/block.h"
#include "loop/loop.h"

struct writeback {
	ev_timer timer;
	struct loop *loop;
	struct block *block;
};

/*
 * From now on a writeback begins at most @seconds (1 at least) after the first
 * modification that the image does not know of, until writeback_stop().
 */
void writeback_start(struct writeback *w, struct loop *l, struct block *b,
		     double seconds);
void writeback_stop(struct writeback *w);

#endif
