/* The /dev/fuse channel: INIT and FORGET always, all requests as a fallback. */
#ifndef RAWFUSE_FUSE_DEV_H
#define RAWFUSE_FUSE_DEV_H

struct dev;
struct fuse_request;
struct session;

/* NULL if out of memory (logged). */
struct dev *dev_new(struct session *s);
void dev_free(struct dev *d);

/* Begins, and for good ends, reading requests. */
void dev_start(struct dev *d);
void dev_stop(struct dev *d);

/* The request that came first of those it works on; NULL if there is none. */
const struct fuse_request *dev_oldest(const struct dev *d);

/* Gives back the memory of buffers that no request uses. */
void dev_trim(struct dev *d);

#endif
