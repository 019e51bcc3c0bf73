/*
 * A disk in a format that rawfuse does not read would pass for a raw one, and
 * the first write to it would destroy it. Those below are known by their first
 * bytes, or by the trailer that some of them have.
 *
 * A raw disk that is refused can be had by --format=raw, and one that is not
 * may be lost; but a refusal for nothing is a nuisance. So a magic number of
 * four bytes or less never decides alone: the fields behind it must be such as
 * the format allows (the table says which). Checksums are not looked at: an
 * image that is damaged is still no raw disk.
 *
 * Not here, because they are raw disks: ISO 9660, LUKS, and whatever file
 * system, archive (tar) or partition table begins a disk.
 */
#include "config.h"

#include <stdint.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "block/bytes.h"
#include "block/foreign.h"
#include "loop/log.h"

#define HEAD 512
#define TAIL 1024 /* two sectors: some trailers end at no sector's end */
#define FOOTER 512

struct sample {
	uint8_t head[HEAD + 1]; /* and a zero */
	size_t head_n;
	uint8_t tail[TAIL];
	size_t tail_n; /* the last bytes of the file */
};

static bool power_from_to(uint64_t n, uint64_t least, uint64_t most)
{
	return n >= least && n <= most && !(n & (n - 1));
}

/* version; sectors of a grain */
static bool is_vmdk(const uint8_t *h)
{
	return bytes_le32(h + 4) >= 1 && bytes_le32(h + 4) <= 3 &&
	       power_from_to(bytes_le64(h + 20), 1, 1 << 16);
}

/* version; sectors of a grain */
static bool is_cowd(const uint8_t *h)
{
	return bytes_le32(h + 4) == 1 &&
	       power_from_to(bytes_le32(h + 16), 1, 1 << 16);
}

/* a key of a descriptor file, which is text */
static bool is_descriptor(const uint8_t *h)
{
	return strstr((const char *)h, "\nversion") ||
	       strstr((const char *)h, "\nCID") ||
	       strstr((const char *)h, "\ncreateType");
}

/* major version; kind of image */
static bool is_vdi(const uint8_t *h)
{
	return bytes_le32(h + 68) >> 16 == 1 && bytes_le32(h + 76) >= 1 &&
	       bytes_le32(h + 76) <= 4;
}

/* version; kind of disk: fixed, dynamic, differencing */
static bool is_vhd(const uint8_t *footer)
{
	return bytes_be32(footer + 12) == 0x10000 &&
	       bytes_be32(footer + 60) >= 2 && bytes_be32(footer + 60) <= 4;
}

/* sizes of clusters and of tables */
static bool is_qed(const uint8_t *h)
{
	return power_from_to(bytes_le32(h + 4), 1 << 12, 1 << 26) &&
	       power_from_to(bytes_le32(h + 8), 1, 16);
}

/* version; bits of clusters and of L2 tables */
static bool is_qcow1(const uint8_t *h)
{
	return bytes_be32(h + 4) == 1 && h[32] >= 9 && h[32] <= 16 &&
	       h[33] >= 6 && h[33] <= 13;
}

/* version; size of the trailer */
static bool is_koly(const uint8_t *trailer)
{
	return bytes_be32(trailer + 4) == 4 &&
	       bytes_be32(trailer + 8) == FOOTER;
}

/* major version; sizes of its headers; size of a block */
static bool is_sparse(const uint8_t *h)
{
	return bytes_le16(h + 4) == 1 && bytes_le16(h + 8) >= 28 &&
	       bytes_le16(h + 10) >= 12 && bytes_le32(h + 12) &&
	       !(bytes_le32(h + 12) & 3);
}

/* method; reserved flags */
static bool is_gzip(const uint8_t *h)
{
	return h[2] == 8 && !(h[3] & 0xe0);
}

/* flags of the stream */
static bool is_xz(const uint8_t *h)
{
	return !h[6] && h[7] < 16;
}

/* reserved bit of a frame */
static bool is_zstd(const uint8_t *h)
{
	return !(h[4] & 8);
}

/* a frame to be skipped, and a zstd frame behind it, as of pzstd */
static bool is_skippable(const uint8_t *h)
{
	uint32_t length = bytes_le32(h + 4);

	return (h[0] & 0xf0) == 0x50 && length <= HEAD - 16 &&
	       bytes_le32(h + 8 + length) == 0xfd2fb528;
}

/* size of blocks; how the first one, or the end, begins */
static bool is_bzip2(const uint8_t *h)
{
	return h[3] >= '1' && h[3] <= '9' &&
	       (!memcmp(h + 4, "\x31\x41\x59\x26\x53\x59", 6) ||
		!memcmp(h + 4, "\x17\x72\x45\x38\x50\x90", 6));
}

/* version; reserved bits */
static bool is_lz4(const uint8_t *h)
{
	return h[4] >> 6 == 1 && !(h[4] & 2) && !(h[5] & 0x8f);
}

/* version that reads it; reserved bytes, as names come after */
static bool is_zip(const uint8_t *h)
{
	return h[4] <= 63 && bytes_le16(h + 8) <= 99 && bytes_le16(h + 26) &&
	       bytes_le16(h + 26) < 4096;
}

enum place { AT_START, AT_END };

static const struct foreign {
	const char *name;
	const char *how; /* a command; %F is the file */
	enum place place;
	uint16_t at; /* of the magic number, after the place */
	uint16_t length;
	const char *magic;
	bool (*more)(const uint8_t *from); /* the start, or the trailer */
} table[] = {
#define QEMU(format) "qemu-img convert -f " format " -O qcow2 %F NEW"
#define MAGIC(text) sizeof(text) - 1, text
	{ "a VMware disk (vmdk)", QEMU("vmdk"), AT_START, 0, MAGIC("KDMV"),
	  is_vmdk },
	{ "a VMware disk (vmdk)", QEMU("vmdk"), AT_START, 0, MAGIC("COWD"),
	  is_cowd },
	{ "a VMware disk (vmdk)", QEMU("vmdk"), AT_START, 0,
	  MAGIC("\xbe\xba\xfe\xca\0\0\0\0\1\0\0\0\2\0\0\0"), NULL },
	{ "the description of a VMware disk (vmdk)", QEMU("vmdk"), AT_START, 0,
	  MAGIC("# Disk DescriptorFile"), is_descriptor },
	{ "a VirtualBox disk (vdi)", QEMU("vdi"), AT_START, 64,
	  MAGIC("\x7f\x10\xda\xbe"), is_vdi },
	{ "a Hyper-V disk (vhdx)", QEMU("vhdx"), AT_START, 0, MAGIC("vhdxfile"),
	  NULL },
	{ "a Virtual PC disk (vhd)", QEMU("vpc"), AT_START, 0,
	  MAGIC("conectix"), is_vhd },
	{ "a Virtual PC disk (vhd)", QEMU("vpc"), AT_END, 0, MAGIC("conectix"),
	  is_vhd },
	{ "a QED image", QEMU("qed"), AT_START, 0, MAGIC("QED\0"), is_qed },
	{ "a Parallels disk", QEMU("parallels"), AT_START, 0,
	  MAGIC("WithoutFreeSpace"), NULL },
	{ "a Parallels disk", QEMU("parallels"), AT_START, 0,
	  MAGIC("WithouFreSpacExt"), NULL },
	{ "a qcow image of version 1", QEMU("qcow"), AT_START, 0,
	  MAGIC("QFI\xfb"), is_qcow1 },
	{ "a Bochs disk", QEMU("bochs"), AT_START, 0,
	  MAGIC("Bochs Virtual HD Image"), NULL },
	{ "an Apple disk image (dmg)", QEMU("dmg"), AT_END, 0, MAGIC("koly"),
	  is_koly },
	{ "an Android sparse image", "simg2img %F NEW", AT_START, 0,
	  MAGIC("\x3a\xff\x26\xed"), is_sparse },
	{ "compressed by gzip", "gzip -dc %F >NEW", AT_START, 0,
	  MAGIC("\x1f\x8b"), is_gzip },
	{ "compressed by xz", "xz -dc %F >NEW", AT_START, 0,
	  MAGIC("\xfd\x37zXZ\0"), is_xz },
	{ "compressed by zstd", "zstd -dc %F >NEW", AT_START, 0,
	  MAGIC("\x28\xb5\x2f\xfd"), is_zstd },
	{ "compressed by zstd", "zstd -dc %F >NEW", AT_START, 1,
	  MAGIC("\x2a\x4d\x18"), is_skippable },
	{ "compressed by bzip2", "bzip2 -dc %F >NEW", AT_START, 0, MAGIC("BZh"),
	  is_bzip2 },
	{ "compressed by lz4", "lz4 -dc %F >NEW", AT_START, 0,
	  MAGIC("\x04\x22\x4d\x18"), is_lz4 },
	{ "an archive of zip", "unzip %F", AT_START, 0, MAGIC("PK\3\4"),
	  is_zip },
	{ "an archive of 7-Zip", "7z x %F", AT_START, 0,
	  MAGIC("7z\xbc\xaf\x27\x1c"), NULL },
};

static bool at_start(const struct foreign *f, const struct sample *s)
{
	/* What is missing of a short file is zero in the sample. */
	return s->head_n >= (size_t)f->at + f->length &&
	       !memcmp(s->head + f->at, f->magic, f->length) &&
	       (!f->more || f->more(s->head));
}

/*
 * The trailer is the last FOOTER bytes. Some old ones are a byte shorter, and
 * something may come after one; so its magic is looked for.
 */
static bool at_end(const struct foreign *f, const struct sample *s)
{
	uint8_t trailer[FOOTER];
	size_t at, n;

	for (at = 0; at + f->length <= s->tail_n; at++) {
		if (memcmp(s->tail + at, f->magic, f->length))
			continue;
		memset(trailer, 0, sizeof(trailer));
		n = s->tail_n - at;
		if (n > sizeof(trailer))
			n = sizeof(trailer);
		memcpy(trailer, s->tail + at, n);
		if (!f->more || f->more(trailer))
			return true;
	}
	return false;
}

static void take_sample(struct sample *s, int fd)
{
	off_t end = lseek(fd, 0, SEEK_END), from;
	ssize_t n;

	memset(s, 0, sizeof(*s));
	n = pread(fd, s->head, HEAD, 0);
	s->head_n = n > 0 ? (size_t)n : 0;
	from = end > TAIL ? end - TAIL : 0;
	n = pread(fd, s->tail, TAIL, from);
	s->tail_n = n > 0 ? (size_t)n : 0;
}

bool foreign_refuses(int fd, const char *path)
{
	struct sample s;
	const char *file;
	size_t i;

	take_sample(&s, fd);
	for (i = 0; i < sizeof(table) / sizeof(*table); i++) {
		const struct foreign *f = &table[i];

		if (f->place == AT_START ? !at_start(f, &s) : !at_end(f, &s))
			continue;
		file = strstr(f->how, "%F");
		log_warnx("%s: open: it is %s, no raw or qcow2 image; make one "
			  "of it by \"%.*s'%s'%s\" (--format=raw exports it as "
			  "it is)",
			  path, f->name, (int)(file - f->how), f->how, path,
			  file + 2);
		return true;
	}
	return false;
}
