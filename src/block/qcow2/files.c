/*
 * The files of an image: its own, its data file, its backing file; and the
 * header extensions that name them.
 *
 * Names come from the image, and an image may come from anybody. So: no name
 * is followed if the image was only guessed to be qcow2, none with --untrusted
 * or --backing=off, with --allow-files only beneath a directory (named.c); no
 * URL, no json: description; the backing file's format must be said. Which
 * files are in use is logged. The chain has at most MAX_DEPTH files, each of
 * them once; memory.c bounds their tables.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "block/named.h"
#include "block/qcow2/files.h"
#include "block/qcow2/format.h"
#include "block/qcow2/header.h"
#include "block/qcow2/image.h"
#include "block/qcow2/memory.h"
#include "loop/log.h"

#define MAX_DEPTH 64u
#define UNTRUSTED_DEPTH 8u
#define EXT_BACKING_FORMAT 0xe2792acau
#define EXT_DATA_FILE 0x44415441u
#define BACKING_CACHE (64u << 10)

/*
 * Copy on write and small clusters make writes that are not aligned; beside
 * direct I/O these would have to run one at a time (block.c). So what is
 * written is opened without O_DIRECT unless that was asked for. It also keeps
 * table slices near that our cache has evicted. Where memory is so short that
 * dirty pages alone may exhaust it, slow is better.
 */
static enum block_cache cache_mode(const struct block_options *opt)
{
	if (opt->cache == BLOCK_CACHE_AUTO && !opt->read_only &&
	    !opt->few_pages)
		return BLOCK_CACHE_HOST;
	return opt->cache;
}

int qcow2_open_file(struct qcow2 *q)
{
	const struct block_options *opt = &q->b->opt;
	struct block_options mine = { .path = opt->path,
				      .format = "raw",
				      .read_only = opt->read_only,
				      .no_lock = opt->no_lock,
				      .cache = cache_mode(opt),
				      .bounce = opt->bounce,
				      .allowed = opt->allowed,
				      .named = opt->named,
				      .below = true };
	struct stat st;

	if (named_stat(opt, &st)) {
		log_warn("%s: open", opt->path);
		return -errno;
	}
	q->device = st.st_dev;
	q->inode = st.st_ino;
	mine.growable = !opt->read_only && !S_ISBLK(st.st_mode);
	q->file = q->data = block_open(q->b->uring, &mine);
	return q->file ? 0 : -EIO;
}

/* Reads a string of the file into new memory. */
static int read_name(struct qcow2 *q, const char *what, uint64_t offset,
		     uint32_t length, char **name)
{
	int ret;

	if (length > QCOW2_MAX_NAME || !length)
		return qcow2_bad_field(q, what, length,
				       "a name has 1 to 1023 bytes");
	if (offset > q->file->size || length > q->file->size - offset)
		return qcow2_bad_field(q, what, offset,
				       "it reaches past the end of the file");
	*name = calloc(1, length + 1);
	if (!*name)
		return -ENOMEM;
	ret = block_pread(q->file, *name, length, offset);
	if (ret) {
		log_warnx("%s: qcow2: reading %s: %s", q->b->opt.path, what,
			  strerror(-ret));
		return ret;
	}
	if (strlen(*name) < length)
		return qcow2_bad_field(q, what, offset,
				       "the name has a zero byte in it");
	return 0;
}

static int read_extensions(struct qcow2 *q)
{
	uint64_t at = q->geo.version == 2 ? QCOW2_H_V2_LENGTH
					  : qcow2_get32(q, QCOW2_H_LENGTH);
	uint64_t end = qcow2_get64(q, QCOW2_H_BACKING_OFFSET);
	char **name;
	uint32_t head[2];
	int ret = 0;

	if (!end || end > q->geo.cluster_size)
		end = q->geo.cluster_size;
	end = qcow2_min(end, q->file->size);
	while (!ret && at + sizeof(head) <= end) {
		ret = block_pread(q->file, head, sizeof(head), at);
		if (ret)
			break;
		head[0] = be32toh(head[0]);
		head[1] = be32toh(head[1]);
		at += sizeof(head);
		if (!head[0])
			return 0;
		if (head[1] > end - at)
			return qcow2_bad_field(q, "header extension length",
					       head[1],
					       "it reaches past the header");
		name = head[0] == EXT_BACKING_FORMAT ? &q->backing_format
		       : head[0] == EXT_DATA_FILE    ? &q->data_path
						     : NULL;
		if (name && !*name && head[1])
			ret = read_name(q, "header extension", at, head[1],
					name);
		at += qcow2_round_up(head[1], 8);
	}
	return ret;
}

static bool is_protocol(const char *name)
{
	size_t scheme = strspn(name, "abcdefghijklmnopqrstuvwxyz"
				     "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");

	return scheme && name[scheme] == ':';
}

/* May this image have the file that it names? */
static int check_name(const struct qcow2 *q, const char *what, const char *name)
{
	const struct block_options *opt = &q->b->opt;

	if (opt->no_backing)
		log_warnx("%s: qcow2: it has a %s '%s', and --backing=off "
			  "refuses that",
			  opt->path, what, name);
	else if (opt->untrusted && !opt->allowed)
		log_warnx("%s: qcow2: it has a %s '%s', and --untrusted refuses"
			  " that; --allow-files=DIR allows those in DIR",
			  opt->path, what, name);
	else if (opt->probed)
		log_warnx("%s: qcow2: it names a %s '%s', but was only guessed "
			  "to be qcow2; if it is, say --format=qcow2",
			  opt->path, what, name);
	else if (is_protocol(name))
		log_warnx("%s: qcow2: %s '%s': only names of local files are "
			  "followed",
			  opt->path, what, name);
	else
		return 0;
	return -EINVAL;
}

/* Its path; NULL is logged. */
static char *find_named(const struct qcow2 *q, const char *what,
			const char *name)
{
	char *path = named_path(&q->b->opt, name);

	if (!path)
		log_warn("%s: qcow2: its %s '%s'", q->b->opt.path, what, name);
	return path;
}

/* Looks at a file that the image names; -errno is logged. */
static int stat_named(const struct qcow2 *q, const char *what,
		      const struct block_options *opt, struct stat *st)
{
	if (!named_stat(opt, st))
		return 0;
	if (errno == EXDEV && opt->allowed)
		log_warnx("%s: qcow2: its %s %s is not beneath '%s', or a link "
			  "leads out of there: --allow-files refuses that",
			  q->b->opt.path, what, opt->path, opt->allowed->path);
	else
		log_warn("%s: qcow2: its %s %s", q->b->opt.path, what,
			 opt->path);
	return -errno;
}

static int open_data(struct qcow2 *q)
{
	struct block_options opt = { .format = "raw",
				     .read_only = q->b->opt.read_only,
				     .growable = !q->b->opt.read_only,
				     .no_lock = q->b->opt.no_lock,
				     .cache = cache_mode(&q->b->opt),
				     .bounce = q->b->opt.bounce,
				     .allowed = q->b->opt.allowed,
				     .named = true,
				     .below = true };
	struct stat st;
	char *name = q->data_path;
	int ret;

	if (!q->geo.data_file)
		return 0;
	q->data = NULL;
	if (!name) {
		log_warnx(
			"%s: qcow2: it has an external data file "
			"(incompatible bit 2) but does not name it; set it with 'qemu-img "
			"amend -o data_file=NAME'",
			q->b->opt.path);
		return -EINVAL;
	}
	if (check_name(q, "data file", name))
		return -EINVAL;
	q->data_path = find_named(q, "data file", name);
	free(name);
	if (!q->data_path)
		return -EINVAL;
	opt.path = q->data_path;
	ret = stat_named(q, "data file", &opt, &st);
	if (ret)
		return ret;
	if (st.st_dev == q->device && st.st_ino == q->inode) {
		log_warnx("%s: qcow2: its data file is itself", q->b->opt.path);
		return -ELOOP;
	}
	if (S_ISBLK(st.st_mode))
		opt.growable = false;
	q->data = block_open(q->b->uring, &opt);
	return q->data ? 0 : -EIO;
}

/* The backing file's format, as one of our drivers; or NULL after a line. */
static const char *backing_driver(const struct qcow2 *q)
{
	const char *format = q->backing_format;

	if (!format)
		format = q->b->opt.backing_format;
	if (!format) {
		log_warnx("%s: qcow2: it does not say what format its backing "
			  "file '%s' has; say --backing-format=raw or =qcow2",
			  q->b->opt.path, q->backing_path);
		return NULL;
	}
	if (!strcmp(format, "qcow2"))
		return "qcow2";
	if (!strcmp(format, "raw") || !strcmp(format, "file") ||
	    !strcmp(format, "host_device"))
		return "raw";
	log_warnx("%s: qcow2: its backing file '%s' has the format '%s'; only "
		  "raw and qcow2 are supported",
		  q->b->opt.path, q->backing_path, format);
	return NULL;
}

static int check_chain(const struct qcow2 *q, const struct block_chain *chain,
		       const struct block_options *below)
{
	unsigned int depth = 0;
	unsigned int most = below->untrusted ? UNTRUSTED_DEPTH : MAX_DEPTH;
	struct stat st;
	int ret = stat_named(q, "backing file", below, &st);

	if (ret)
		return ret;
	for (; chain; chain = chain->above, depth++) {
		if (chain->device == st.st_dev && chain->inode == st.st_ino) {
			log_warnx("%s: qcow2: its backing file %s is above it: "
				  "a loop",
				  q->b->opt.path, below->path);
			return -ELOOP;
		}
	}
	if (depth > most) {
		log_warnx("%s: qcow2: more than %u files back one another",
			  q->b->opt.path, most);
		return -ELOOP;
	}
	return 0;
}

static int open_backing(struct qcow2 *q)
{
	const struct block_options *opt = &q->b->opt;
	uint64_t offset = qcow2_get64(q, QCOW2_H_BACKING_OFFSET);
	struct block_chain chain = { opt->chain, q->device, q->inode,
				     qcow2_l1_bytes(q), qcow2_memory(q) };
	struct block_options below = { .read_only = true,
				       .no_lock = opt->no_lock,
				       .cache = opt->cache,
				       .backing_format = opt->backing_format,
				       .metadata_cache = BACKING_CACHE,
				       .memory = opt->memory,
				       .chain = &chain,
				       .bounce = opt->bounce,
				       .untrusted = opt->untrusted,
				       .allowed = opt->allowed,
				       .named = true,
				       .below = true };
	char *name;
	int ret;

	if (!offset)
		return 0;
	ret = read_name(q, "backing_file_name", offset,
			qcow2_get32(q, QCOW2_H_BACKING_SIZE), &q->backing_path);
	if (ret)
		return ret;
	name = q->backing_path;
	if (q->geo.data_raw) {
		log_warnx("%s: qcow2: it has a backing file and a raw data file"
			  " (autoclear bit 1); these exclude one another",
			  opt->path);
		return -EINVAL;
	}
	if (check_name(q, "backing file", name))
		return -EINVAL;
	below.format = backing_driver(q);
	if (!below.format)
		return -EINVAL;
	q->backing_path = find_named(q, "backing file", name);
	free(name);
	if (!q->backing_path)
		return -EINVAL;
	below.path = q->backing_path;
	ret = check_chain(q, &chain, &below);
	if (ret)
		return ret;
	q->backing = block_open(q->b->uring, &below);
	return q->backing ? 0 : -EIO;
}

int qcow2_open_others(struct qcow2 *q)
{
	int ret = read_extensions(q);

	if (!ret)
		ret = open_data(q);
	if (!ret)
		ret = open_backing(q);
	return ret;
}

void qcow2_tell_files(const struct block *b)
{
	const struct qcow2 *q = b->state;

	if (q->data != q->file)
		log_info("%s: qcow2: its data is in the file '%s'", b->opt.path,
			 q->data_path);
	if (!q->backing)
		return;
	log_info("%s: qcow2: its backing file is '%s' (%s)", b->opt.path,
		 q->backing_path, q->backing->driver->name);
	block_tell_files(q->backing);
}

int qcow2_close_files(struct qcow2 *q)
{
	int ret, err;

	ret = block_close(q->backing);
	if (q->data != q->file) {
		err = block_close(q->data);
		ret = ret ? ret : err;
	}
	err = block_close(q->file);
	free(q->backing_path);
	free(q->data_path);
	free(q->backing_format);
	return ret ? ret : err;
}
