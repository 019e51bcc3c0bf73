/*
 * Formats that are not read are known, and raw disks are not taken for them.
 * (Where there is a program that writes one, integration/foreign.sh has it.)
 */
#include "config.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "block/foreign.h"
#include "capture.h"
#include "suites.h"

#define SIZE 65536

struct piece {
	long at; /* below 0: from the end */
	const char *bytes;
	size_t length;
	long size; /* of the file, if not SIZE */
};

#define PIECE(at, bytes)                        \
	{                                       \
		at, bytes, sizeof(bytes) - 1, 0 \
	}
#define SHORT(at, bytes, size)                     \
	{                                          \
		at, bytes, sizeof(bytes) - 1, size \
	}

static bool is_refused(const struct piece *p)
{
	int fd = memfd_create("foreign", MFD_CLOEXEC);
	long size = p->size ? p->size : SIZE;
	bool refused;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, size), 0);
	ck_assert_int_eq(pwrite(fd, p->bytes, p->length,
				p->at < 0 ? size + p->at : p->at),
			 (ssize_t)p->length);
	capture_start();
	refused = foreign_refuses(fd, "x.img");
	ck_assert_uint_eq(capture_lines(), refused);
	close(fd);
	return refused;
}

static const struct {
	const char *says;
	struct piece piece;
} theirs[] = {
	{ "vmdk", PIECE(0, "KDMV\1\0\0\0\3\0\0\0\0\0\0\0\0\0\0\0\x80\0\0\0") },
	{ "vmdk", PIECE(0, "KDMV\3\0\0\0\3\0\0\0\0\0\0\0\0\0\0\0\x80\0\0\0") },
	{ "vmdk", PIECE(0, "COWD\1\0\0\0\3\0\0\0\0\x10\0\0\1\0\0\0") },
	{ "vmdk", PIECE(0, "\xbe\xba\xfe\xca\0\0\0\0\1\0\0\0\2\0\0\0") },
	{ "vmdk", SHORT(0, "# Disk DescriptorFile\r\nversion=1\r\n", 300) },
	{ "vmdk", SHORT(0, "# Disk DescriptorFile\nCID=123a5678\n", 35) },
	{ "vdi", PIECE(64, "\x7f\x10\xda\xbe\1\0\1\0\x90\1\0\0\1\0\0\0") },
	{ "vhdx", PIECE(0, "vhdxfile") },
	{ "qed", PIECE(0, "QED\0\0\0\1\0\4\0\0\0") },
	{ "parallels", PIECE(0, "WithoutFreeSpace") },
	{ "parallels", PIECE(0, "WithouFreSpacExt") },
	{ "bochs", PIECE(0, "Bochs Virtual HD Image") },
	{ "dmg", PIECE(-512, "koly\0\0\0\4\0\0\2\0") },
	{ "dmg", SHORT(-512, "koly\0\0\0\4\0\0\2\0", 777) },
	{ "dmg", SHORT(-700, "koly\0\0\0\4\0\0\2\0", 12345) },
	{ "simg2img",
	  PIECE(0, "\x3a\xff\x26\xed\1\0\0\0\x1c\0\x0c\0\0\x10\0") },
	{ "gzip -dc 'x.img' >NEW", PIECE(0, "\x1f\x8b\x08\0") },
	{ "gzip", SHORT(0, "\x1f\x8b\x08\x08", 20) },
	{ "xz -dc", PIECE(0, "\xfd\x37zXZ\0\0\4") },
	{ "zstd -dc", PIECE(0, "\x28\xb5\x2f\xfd\x24") },
	{ "zstd -dc", PIECE(0, "\x50\x2a\x4d\x18\4\0\0\0\1\2\3\4\x28\xb5\x2f"
			       "\xfd") },
	{ "bzip2 -dc", PIECE(0, "BZh9\x31\x41\x59\x26\x53\x59") },
	{ "bzip2 -dc", SHORT(0, "BZh1\x17\x72\x45\x38\x50\x90", 14) },
	{ "lz4 -dc", PIECE(0, "\4\x22\x4d\x18\x64\x40") },
	{ "unzip", PIECE(0, "PK\3\4\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
			    "\0\0\1\0") },
	{ "7z x", PIECE(0, "7z\xbc\xaf\x27\x1c\0\4") },
};

START_TEST(knows)
{
	ck_assert(is_refused(&theirs[_i].piece));
	ck_assert_msg(strstr(capture_last(), theirs[_i].says), "%s: %s",
		      theirs[_i].says, capture_last());
	ck_assert_ptr_nonnull(strstr(capture_last(), "x.img: open: it is "));
	ck_assert_ptr_nonnull(strstr(capture_last(), "--format=raw"));
}
END_TEST

/* A trailer of 512 bytes, or one less; at the start, too. */
START_TEST(knows_vhd)
{
	static const long ends[] = { -512, -511, 0 };
	char footer[511] = "conectix\0\0\0\2\0\1";
	struct piece p = { ends[_i], footer, sizeof(footer), 0 };

	footer[63] = (char)(2 + _i);
	ck_assert(is_refused(&p));
	ck_assert_ptr_nonnull(strstr(capture_last(), "convert -f vpc"));
	footer[63] = 5;
	ck_assert(!is_refused(&p));
	footer[63] = 2;
	footer[13] = 7;
	ck_assert(!is_refused(&p));
}
END_TEST

START_TEST(knows_qcow1)
{
	char header[48] = "QFI\xfb\0\0\0\1";
	struct piece p = { 0, header, sizeof(header), 0 };

	header[32] = 12;
	header[33] = 9;
	ck_assert(is_refused(&p));
	ck_assert_ptr_nonnull(strstr(capture_last(), "convert -f qcow -O"));
	header[7] = 3;
	ck_assert(!is_refused(&p));
	header[7] = 2;
	ck_assert(!is_refused(&p));
}
END_TEST

/* What other programs look for, and magics without the rest. */
static const struct piece raw[] = {
	SHORT(0, "", 0),
	SHORT(0, "Q", 1),
	SHORT(0, "koly", 4),
	SHORT(0, "conectix", 8),
	SHORT(0, "\x1f\x8b", 2),
	PIECE(0, "LUKS\xba\xbe\0\2"),
	PIECE(32768, "\1CD001\1\0"),
	PIECE(0, "\xeb\x63\x90"),
	PIECE(510, "\x55\xaa"),
	PIECE(512, "EFI PART"),
	PIECE(-512, "EFI PART"),
	PIECE(257, "ustar"),
	PIECE(1080, "\x53\xef"),
	PIECE(0, "XFSB"),
	PIECE(0, "KDMV\x77\0\0\0"),
	PIECE(0, "KDMV\1\0\0\0\3\0\0\0\0\0\0\0\0\0\0\0\x81\0\0\0"),
	PIECE(0, "COWD\2\0\0\0"),
	PIECE(0, "\xbe\xba\xfe\xca\0\0\0\0"),
	PIECE(0, "# Disk DescriptorFile"),
	PIECE(0, "# Disk DescriptorFile is what this disk begins with"),
	PIECE(64, "\x7f\x10\xda\xbe\xff\xff\xff\xff"),
	PIECE(64, "\x7f\x10\xda\xbe\1\0\1\0\x90\1\0\0\5\0\0\0"),
	PIECE(0, "QED 1 2 3"),
	PIECE(0, "QED\0\1\0\0\0\1\0\0\0"),
	PIECE(-512, "koly\0\0\0\5\0\0\2\0"),
	PIECE(0, "koly\0\0\0\4\0\0\2\0"),
	PIECE(-2048, "koly\0\0\0\4\0\0\2\0"),
	PIECE(0, "\x3a\xff\x26\xed\2\0\0\0"),
	PIECE(0, "\x1f\x8b\1\0"),
	PIECE(0, "\x1f\x8b\x08\xe0"),
	PIECE(0, "\xfd\x37zXZ\0\7\4"),
	PIECE(0, "\x28\xb5\x2f\xfd\x08"),
	PIECE(0, "\x50\x2a\x4d\x18\4\0\0\0\1\2\3\4"),
	PIECE(0, "\x50\x2a\x4d\x18\xff\xff\xff\xff"),
	PIECE(0, "BZh of Berlin"),
	PIECE(0, "BZhello"),
	PIECE(0, "\4\x22\x4d\x18\xff"),
	PIECE(0, "PK\3\4\xff\xff"),
	PIECE(512, "\x1f\x8b\x08\0"),
	PIECE(1, "vhdxfile"),
};

START_TEST(leaves)
{
	ck_assert_msg(!is_refused(&raw[_i]), "%d: %s", _i, capture_last());
}
END_TEST

Suite *suite_foreign(void)
{
	TCase *tc;
	Suite *s = suite_of("foreign", &tc);

	tcase_add_loop_test(tc, knows, 0, (int)COUNT(theirs));
	tcase_add_loop_test(tc, knows_vhd, 0, 3);
	tcase_add_test(tc, knows_qcow1);
	tcase_add_loop_test(tc, leaves, 0, (int)COUNT(raw));
	return s;
}
