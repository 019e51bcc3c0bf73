/* The words of mount(8) in an -o list. */
#include "config.h"

#include <stddef.h>
#include <string.h>
#include <sys/mount.h>

#include "cli/nearest.h"
#include "cli/words.h"

/* Some turn a flag on, some off; many speak to mount(8) and fstab only. */
static const struct {
	const char *word;
	unsigned long on, off;
} words[] = {
	{ "defaults", 0, 0 },
	{ "auto", 0, 0 },
	{ "noauto", 0, 0 },
	{ "user", 0, 0 },
	{ "nouser", 0, 0 },
	{ "users", 0, 0 },
	{ "owner", 0, 0 },
	{ "group", 0, 0 },
	{ "nofail", 0, 0 },
	{ "_netdev", 0, 0 },
	{ "default_permissions", 0, 0 }, /* they always apply */
	{ "suid", 0, 0 }, /* a plain file: nosuid and nodev, always */
	{ "nosuid", 0, 0 },
	{ "dev", 0, 0 },
	{ "nodev", 0, 0 },
	{ "symfollow", 0, 0 }, /* and no links in it */
	{ "nosymfollow", 0, 0 },
	{ "mand", 0, 0 }, /* which Linux has no more */
	{ "nomand", 0, 0 },
	{ "iversion", MS_I_VERSION, 0 },
	{ "noiversion", 0, MS_I_VERSION },
	{ "silent", MS_SILENT, 0 },
	{ "loud", 0, MS_SILENT },
	{ "exec", 0, MS_NOEXEC },
	{ "noexec", MS_NOEXEC, 0 },
	{ "async", 0, MS_SYNCHRONOUS },
	{ "sync", MS_SYNCHRONOUS, 0 },
	{ "dirsync", MS_DIRSYNC, 0 },
	{ "atime", 0, MS_NOATIME },
	{ "noatime", MS_NOATIME, 0 },
	{ "diratime", 0, MS_NODIRATIME },
	{ "nodiratime", MS_NODIRATIME, 0 },
	{ "relatime", MS_RELATIME, 0 },
	{ "norelatime", 0, MS_RELATIME },
	{ "strictatime", MS_STRICTATIME, 0 },
	{ "nostrictatime", 0, MS_STRICTATIME },
	{ "lazytime", MS_LAZYTIME, 0 },
	{ "nolazytime", 0, MS_LAZYTIME },
};

/* What the kernel shows of a mount, and mount -o remount gives back. */
static const char *const ours[] = { "fd=",	   "rootmode=", "user_id=",
				    "group_id=", "max_read=", "blksize=" };

bool words_security(const char *word)
{
	static const char *const names[] = { "context=", "fscontext=",
					     "defcontext=", "rootcontext=" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strncmp(word, names[i], strlen(names[i])))
			return true;
	return false;
}

bool words_mount(const char *word, unsigned long *flags)
{
	size_t i;

	if (!strncmp(word, "x-", 2) || !strncmp(word, "X-", 2) ||
	    !strncmp(word, "comment=", 8))
		return true;
	for (i = 0; i < sizeof(ours) / sizeof(*ours); i++)
		if (!strncmp(word, ours[i], strlen(ours[i])))
			return true;
	for (i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (strcmp(word, words[i].word))
			continue;
		*flags = (*flags | words[i].on) & ~words[i].off;
		return true;
	}
	return false;
}

void words_offer(struct nearest *n)
{
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(*words); i++)
		nearest_offer(n, words[i].word, strlen(words[i].word));
}
