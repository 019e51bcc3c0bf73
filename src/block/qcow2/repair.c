/*
 * The dirty bit: refcounts may be wrong. For now such an image is refused for
 * writing.
 */
#include "config.h"

#include "block/qcow2/qcow2.h"

int qcow2_repair(struct qcow2 *q)
{
	return qcow2_bad_field(q, "incompatible_features", q->incompatible,
			       "the image was not closed cleanly (dirty bit); "
			       "repair it with 'qemu-img check -r all'");
}
