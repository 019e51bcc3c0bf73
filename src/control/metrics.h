/* The counters of an export as Prometheus reads them. */
#ifndef RAWFUSE_CONTROL_METRICS_H
#define RAWFUSE_CONTROL_METRICS_H

#include <stdbool.h>
#include <stddef.h>

#include "control/answer.h"

/* Text that grows up to a size; what has no room is left out. */
struct metrics {
	char *text;
	size_t used, size;
	char *label; /* mountpoint="...", escaped */
};

/* Memory for the metrics of the export at @mountpoint; 0 or -ENOMEM. */
int metrics_init(struct metrics *m, const char *mountpoint);
void metrics_free(struct metrics *m);

/*
 * Writes them anew, in the text format 0.0.4, from @a and from the counters of
 * @s, which may be NULL: the ones that only it has are left out. @up: it serves.
 */
void metrics_write(struct metrics *m, const union answer *a,
		   const struct session *s, bool up);

/* For tests: @from as the value of a label, without quotation marks. */
char *metrics_escape(char *to, size_t size, const char *from);

#endif
