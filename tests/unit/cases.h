/* A valid request of every opcode, for tests that spoil it. */
#ifndef UNIT_CASES_H
#define UNIT_CASES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct op_case {
	const char *name;
	uint32_t opcode;
	size_t in_len; /* of the fixed first argument */
	const void *in; /* NULL: zeros */
	size_t data_len; /* of the second one, zeros */
	int error; /* the answer's */
	size_t out_len;
	bool silent; /* by /dev/fuse it has no answer */
};

extern const struct op_case op_cases[];
extern const int op_cases_n;

#endif
