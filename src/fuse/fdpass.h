/* Handing an open file to another process, through a Unix socket. */
#ifndef RAWFUSE_FUSE_FDPASS_H
#define RAWFUSE_FUSE_FDPASS_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Receives one descriptor (close-on-exec), and what was said with it: @text,
 * of @size bytes, gets that, ended by a 0. Waits. A descriptor or -errno:
 * -EPERM if the other side has closed, -EPROTO if it sent something else.
 */
int fdpass_receive(int sock, char *text, size_t size);

/* Sends @fd, which stays open, with @text (not empty). 0 or -errno. */
int fdpass_send(int sock, int fd, const char *text);

#endif
