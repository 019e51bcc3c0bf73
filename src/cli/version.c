/* What was built: --version for people, --dump-config for scripts. */
#include "config.h"

#include <ev.h>
#include <liburing.h>
#include <stdio.h>

#include "cli/version.h"
#include "fuse/abi.h"

/* What compressed clusters of qcow2 can be read. */
static const char compression[] =
#if defined(HAVE_ZLIB) && defined(HAVE_ZSTD)
	"zlib,zstd";
#elif defined(HAVE_ZLIB)
	"zlib";
#elif defined(HAVE_ZSTD)
	"zstd";
#else
	"none";
#endif

void version_print(void)
{
	puts("rawfuse " PACKAGE_VERSION);
	printf("qcow2 compression: %s\n", compression);
	printf("FUSE ABI up to %d.%d; libev %d.%d; liburing at least 2.3\n",
	       FUSE_MAJOR, FUSE_MINOR, ev_version_major(), ev_version_minor());
}

void version_dump_config(void)
{
	puts("version=" PACKAGE_VERSION);
	puts("formats=raw,qcow2,null");
	printf("qcow2_compression=%s\n", compression);
	printf("fuse_abi=%d.%d\n", FUSE_MAJOR, FUSE_MINOR);
	puts("transports=io_uring,dev_fuse");
}
