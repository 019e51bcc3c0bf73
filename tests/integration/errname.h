/* The names of errors, where the C library does not have them (musl). */
#ifndef INTEGRATION_ERRNAME_H
#define INTEGRATION_ERRNAME_H

#include <errno.h>
#include <stddef.h>
#include <string.h>

#ifndef HAVE_STRERRORNAME_NP
static inline const char *strerrorname_np(int err)
{
#define NAME(error) { error, #error }
	static const struct {
		int err;
		const char *name;
	} names[] = {
		NAME(EPERM),	  NAME(ENOENT),	    NAME(EINTR),
		NAME(EIO),	  NAME(ENXIO),	    NAME(EBADF),
		NAME(EAGAIN),	  NAME(ENOMEM),	    NAME(EACCES),
		NAME(EFAULT),	  NAME(EBUSY),	    NAME(EEXIST),
		NAME(EXDEV),	  NAME(ENODEV),	    NAME(ENOTDIR),
		NAME(EISDIR),	  NAME(EINVAL),	    NAME(ENFILE),
		NAME(EMFILE),	  NAME(ENOTTY),	    NAME(ETXTBSY),
		NAME(EFBIG),	  NAME(ENOSPC),	    NAME(ESPIPE),
		NAME(EROFS),	  NAME(EPIPE),	    NAME(ENOSYS),
		NAME(ELOOP),	  NAME(ENODATA),    NAME(EPROTO),
		NAME(EOVERFLOW),  NAME(EOPNOTSUPP), NAME(ECONNABORTED),
		NAME(ENOTCONN),	  NAME(ETIMEDOUT),  NAME(ESTALE),
		NAME(ECANCELED),  NAME(EDQUOT),
	};
#undef NAME
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (names[i].err == err)
			return names[i].name;
	return "unnamed error";
}
#endif

#endif
