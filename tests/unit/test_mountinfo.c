/* /proc/self/mountinfo, read in a mount namespace of the test's own. */
#include "config.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fuse/mountinfo.h"
#include "suites.h"

static char dir[64];
static char path[512];
static bool may_mount;

/* A child of its own, so that nobody sees its mounts; root is needed. */
static void setup(void)
{
	strcpy(dir, "/tmp/rawfuse-unit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	may_mount = !unshare(CLONE_NEWNS) &&
		    !mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) &&
		    !mount("base", dir, "tmpfs", 0, NULL);
}

static void teardown(void)
{
	if (may_mount)
		umount2(dir, MNT_DETACH);
	rmdir(dir);
}

static const char *below(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static unsigned int minor_of(const char *at)
{
	struct stat st;

	ck_assert_int_eq(stat(at, &st), 0);
	return minor(st.st_dev);
}

START_TEST(not_mounted)
{
	struct mountinfo info = { .minor = 7777, .is_rawfuse = true };

	ck_assert(!mountinfo_find("/nowhere/at/all", &info));
	ck_assert(!mountinfo_find("", &info));
	ck_assert_uint_eq(info.minor, 7777);
	ck_assert(info.is_rawfuse);
	ck_assert(mountinfo_find("/proc", NULL));
	ck_assert(mountinfo_find("/proc", &info));
	ck_assert(!info.is_rawfuse);
	ck_assert_uint_eq(info.minor, minor_of("/proc"));
}
END_TEST

/* Names as mountinfo must escape them, and such as look escaped. */
static const char *const names[] = {
	"plain", "with space", "tab\there",	    "new\nline", "back\\slash",
	"\\040", "a - b",      "a - fuse.rawfuse ", "#hash",	 "\\",
	"\\04",	 "\\0400",     "\xc3\xa9",
};

START_TEST(odd_names)
{
	const char *at = below(names[_i]);
	struct mountinfo info;

	if (!may_mount)
		return;
	ck_assert_int_eq(mkdir(at, 0700), 0);
	ck_assert(!mountinfo_find(at, NULL));
	ck_assert_int_eq(
		mount("src with - fuse.rawfuse ", at, "tmpfs", 0, NULL), 0);
	ck_assert(mountinfo_find(at, &info));
	ck_assert(!info.is_rawfuse);
	ck_assert_uint_eq(info.minor, minor_of(at));
	ck_assert_int_eq(umount(at), 0);
	ck_assert(!mountinfo_find(at, NULL));
}
END_TEST

/* Of two mounts at one place the upper one counts. */
START_TEST(on_top)
{
	const char *at = below("two");
	struct mountinfo info;
	unsigned int lower;

	if (!may_mount)
		return;
	ck_assert_int_eq(mkdir(at, 0700), 0);
	ck_assert_int_eq(mount("one", at, "tmpfs", 0, NULL), 0);
	lower = minor_of(at);
	ck_assert_int_eq(mount("two", at, "tmpfs", 0, NULL), 0);
	ck_assert(mountinfo_find(at, &info));
	ck_assert_uint_eq(info.minor, minor_of(at));
	ck_assert_uint_ne(info.minor, lower);
}
END_TEST

Suite *suite_mountinfo(void)
{
	TCase *tc;
	Suite *s = suite_of("mountinfo", &tc);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, not_mounted);
	tcase_add_loop_test(tc, odd_names, 0, COUNT(names));
	tcase_add_test(tc, on_top);
	return s;
}
