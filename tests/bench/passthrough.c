/*
 * A peer for the benchmark: exports one file over one file with libfuse's
 * low-level interface, as plainly as it can be done well: one pread or pwrite
 * a request, requests of 1 MiB, many of them at a time.
 *
 *     passthrough [-1] [-s] [-d] [-o LIBFUSE_OPTIONS] IMAGE MOUNTPOINT
 *
 * -1: one thread; -s: libfuse may splice; -d: IMAGE by O_DIRECT. An IMAGE
 * null:BYTES stores nothing. It stays in the foreground, until unmounted.
 */
#define _GNU_SOURCE
#define FUSE_USE_VERSION 312
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { REQUEST_MAX = 1 << 20, ALIGN = 4096 };

static int image = -1; /* no file: null */
static int spliced, direct;
static struct stat attr;

/* A page-aligned buffer of each thread. */
static char *thread_buffer(void)
{
	static __thread char *buffer;

	if (!buffer && posix_memalign((void **)&buffer, ALIGN, REQUEST_MAX))
		abort();
	return buffer;
}

static void pt_init(void *data, struct fuse_conn_info *conn)
{
	(void)data;
	conn->max_background = 512;
	conn->congestion_threshold = 384;
	if (spliced && conn->capable & FUSE_CAP_SPLICE_WRITE)
		conn->want |= FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE;
	if (!spliced)
		conn->want &= ~FUSE_CAP_SPLICE_READ;
}

static void pt_getattr(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	(void)ino, (void)fi;
	fuse_reply_attr(req, &attr, 3600);
}

static void pt_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fi->direct_io = !!(fi->flags & O_DIRECT);
	fi->keep_cache = !fi->direct_io;
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 15)
	fi->parallel_direct_writes = fi->direct_io;
#endif
	fuse_reply_open(req, fi);
}

static void pt_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	struct fuse_bufvec vec = FUSE_BUFVEC_INIT(size);
	ssize_t n = size;

	(void)ino, (void)fi;
	if (image >= 0 && spliced) {
		vec.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
		vec.buf[0].fd = image;
		vec.buf[0].pos = offset;
		fuse_reply_data(req, &vec, FUSE_BUF_SPLICE_MOVE);
		return;
	}
	if (size > REQUEST_MAX)
		n = -1, errno = EINVAL;
	else if (image >= 0)
		n = pread(image, thread_buffer(), size, offset);
	if (n < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_buf(req, thread_buffer(), n);
}

static void pt_write(fuse_req_t req, fuse_ino_t ino, const char *buf,
		     size_t size, off_t offset, struct fuse_file_info *fi)
{
	ssize_t n = size;

	(void)ino, (void)fi;
	if (direct && (size_t)buf % ALIGN && size <= REQUEST_MAX)
		buf = memcpy(thread_buffer(), buf, size);
	if (image >= 0)
		n = pwrite(image, buf, size, offset);
	if (n < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_write(req, n);
}

static void pt_write_buf(fuse_req_t req, fuse_ino_t ino,
			 struct fuse_bufvec *from, off_t offset,
			 struct fuse_file_info *fi)
{
	struct fuse_bufvec to = FUSE_BUFVEC_INIT(fuse_buf_size(from));
	ssize_t n = fuse_buf_size(from);

	(void)ino, (void)fi;
	to.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	to.buf[0].fd = image;
	to.buf[0].pos = offset;
	if (image >= 0)
		n = fuse_buf_copy(&to, from, 0);
	if (n < 0)
		fuse_reply_err(req, -n);
	else
		fuse_reply_write(req, n);
}

static void pt_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
		     struct fuse_file_info *fi)
{
	(void)ino, (void)datasync, (void)fi;
	fuse_reply_err(req, image >= 0 && fdatasync(image) ? errno : 0);
}

static int open_image(const char *name)
{
	attr.st_mode = S_IFREG | 0600;
	attr.st_nlink = 1;
	if (!strncmp(name, "null:", 5)) {
		attr.st_size = strtoll(name + 5, NULL, 10);
		return 0;
	}
	image = open(name, O_RDWR | O_CLOEXEC | (direct ? O_DIRECT : 0));
	return image < 0 ? -1 : fstat(image, &attr);
}

int main(int argc, char **argv)
{
	struct fuse_lowlevel_ops ops = {
		.init = pt_init,
		.getattr = pt_getattr,
		.open = pt_open,
		.read = pt_read,
		.write = pt_write,
		.fsync = pt_fsync,
	};
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	struct fuse_session *se;
	int one = 0, opt;

	fuse_opt_add_arg(&args, argv[0]);
	fuse_opt_add_arg(&args, "-osubtype=passthrough");
	while ((opt = getopt(argc, argv, "1sdo:")) != -1) {
		if (opt == '1')
			one = 1;
		else if (opt == 's')
			spliced = 1;
		else if (opt == 'd')
			direct = 1;
		else if (opt == 'o' && !fuse_opt_add_arg(&args, "-o"))
			fuse_opt_add_arg(&args, optarg);
		else
			return 2;
	}
	if (spliced)
		ops.write_buf = pt_write_buf;
	if (argc - optind != 2)
		return 2;
	if (open_image(argv[optind])) {
		perror(argv[optind]);
		return 1;
	}
	se = fuse_session_new(&args, &ops, sizeof(ops), NULL);
	if (!se || fuse_set_signal_handlers(se) ||
	    fuse_session_mount(se, argv[optind + 1]))
		return 1;
	opt = one ? fuse_session_loop(se) : fuse_session_loop_mt(se, config);
	fuse_session_unmount(se);
	fuse_session_destroy(se);
	return opt ? 1 : 0;
}
