/* --help: examples first, then the options by group, within 80 columns. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "cli/options_int.h"
#include "cli/wrap.h"

#define LEFT 33 /* where the texts begin */

static const char *const titles[GROUPS] = {
	[GROUP_IMAGE] = "The image",
	[GROUP_ACCESS] = "Access",
	[GROUP_CACHE] = "Caches and memory",
	[GROUP_SPEED] = "Speed",
	[GROUP_LIFE] = "Start and end",
	[GROUP_INFO] = "Information",
};

static void print_option(const struct option_spec *s)
{
	const char *before = "", *arg = s->arg ? s->arg : "", *after = "";
	char left[WRAP_COLUMNS];
	int n;

	if (s->flags & OPTION_OPTIONAL) {
		/* The first word is what the option alone means. */
		before = "[=";
		arg = strchr(arg, '|') + 1;
		after = "]";
	} else if (s->arg) {
		before = "=";
	}
	n = snprintf(left, sizeof(left), "  %c%c%s--%s%s%s%s",
		     s->letter ? '-' : ' ', s->letter ? s->letter : ' ',
		     s->letter ? ", " : "  ", s->name, before, arg, after);
	if (n > LEFT - 2)
		printf("%s\n%*s", left, LEFT, "");
	else
		printf("%-*s", LEFT, left);
	wrap_print(s->help, LEFT);
}

static void print_group(enum group g, bool all)
{
	size_t i;

	printf("\n%s:\n", titles[g]);
	for (i = 0; i < options_specs_n; i++) {
		const struct option_spec *s = &options_specs[i];

		if (s->group == g && (all || s->flags & OPTION_COMMON))
			print_option(s);
	}
}

void options_help(bool all)
{
	enum group g;

	puts("Usage: rawfuse [OPTION]... IMAGE MOUNTPOINT\n"
	     "\n"
	     "  rawfuse disk.qcow2 disk.raw   "
	     "the file disk.raw is now the disk in the image\n"
	     "  rawfuse -r disk.img disk.img  "
	     "the image itself, read-only\n"
	     "  umount disk.raw               "
	     "end: write everything to the image\n"
	     "\n"
	     "IMAGE is a raw or qcow2 image, or a block device, or null:size=1G, which\n"
	     "stores nothing. MOUNTPOINT is a file; a missing one is created.");
	for (g = 0; g < GROUPS; g++)
		print_group(g, all);
	puts("\nSizes take the suffixes k, M, G, T, P, E: powers of 1024.\n"
	     "Exit status: 0 done and all data flushed, 1 failed, 2 usage; --status: 3\n"
	     "nothing is exported there.");
	puts(all ? "Manual: man rawfuse" :
		   "All options: rawfuse --help=all. Manual: man rawfuse");
}
