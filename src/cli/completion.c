/*
 * completion SHELL: prints the completion of SHELL (bash, zsh or fish) from the
 * table of options. It is a program of the build, not a part of rawfuse, which
 * stays smaller so; it is compiled for the machine that builds, so that a cross
 * build can run it.
 *
 * What an option takes is read off its argument in the table: a word in lower
 * case is a choice, FILE, MOUNTPOINT and the like name a file, DIR a directory.
 */
#include "config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/options_int.h"

#define TRACES "fuse|ring|block|life|all" /* options_value.c */

enum what {
	WHAT_WORD,
	WHAT_FILE,
	WHAT_DIR,
	WHAT_OTHER, /* a size, a name, ... */
};

static enum what what_is(const char *word, size_t n)
{
	static const char *const files[] = { "FILE", "PIDFILE", "MOUNTPOINT",
					     "PATH" };
	size_t i;

	for (i = 0; i < sizeof(files) / sizeof(*files); i++)
		if (strlen(files[i]) == n && !strncmp(files[i], word, n))
			return WHAT_FILE;
	if (n == 3 && !strncmp(word, "DIR", n))
		return WHAT_DIR;
	for (i = 0; i < n; i++)
		if (isupper((unsigned char)word[i]))
			return WHAT_OTHER;
	return n ? WHAT_WORD : WHAT_OTHER;
}

static const char *arg_of(const struct option_spec *s)
{
	return s->kind == KIND_TRACE ? TRACES : s->arg ? s->arg : "";
}

static bool has(const struct option_spec *s, enum what what)
{
	const char *word = arg_of(s);
	size_t n;

	while (*word) {
		n = strcspn(word, "|");
		if (what_is(word, n) == what)
			return true;
		word += n + !!word[n];
	}
	return false;
}

/* The choices of @s, divided by spaces. */
static void print_words(const struct option_spec *s)
{
	const char *word = arg_of(s), *space = "";
	size_t n;

	while (*word) {
		n = strcspn(word, "|");
		if (what_is(word, n) == WHAT_WORD) {
			printf("%s%.*s", space, (int)n, word);
			space = " ";
		}
		word += n + !!word[n];
	}
}

/* May the option be given without its argument? */
static bool is_optional(const struct option_spec *s)
{
#ifdef OPTION_OPTIONAL
	return s->flags & OPTION_OPTIONAL;
#else
	(void)s;
	return false;
#endif
}

/* Does an -o list take it? */
static bool in_list(const struct option_spec *s)
{
	return s->kind != KIND_ACTION && s->kind != KIND_LIST;
}

/* --help's text, for between single quotes; @escape holds what takes a '\'. */
static void print_help(const char *help, const char *quote, const char *escape)
{
	for (; *help; help++) {
		if (*help == '\'')
			fputs(quote, stdout);
		else if (*help == '\n')
			putchar(' ');
		else if (strchr(escape, *help))
			printf("\\%c", *help);
		else
			putchar(*help);
	}
}

static void print_head(const char *comment)
{
	printf("%s, made from rawfuse's table of options.\n", comment);
}

/* The name in an -o list. */
static void print_list_name(const char *name)
{
	for (; *name; name++)
		putchar(*name == '-' ? '_' : *name);
}

static const char *bash_what(const struct option_spec *s)
{
	if (s->kind == KIND_LIST)
		return "list";
	if (s->kind == KIND_TRACE)
		return "commas";
	return has(s, WHAT_FILE) ? "file" : has(s, WHAT_DIR) ? "dir" : "";
}

static void bash_values(void)
{
	const struct option_spec *s;

	puts("# Sets $words, the choices of option $1, and $what, what else it takes.\n"
	     "_rawfuse_takes()\n"
	     "{\n"
	     "\twords= what=\n"
	     "\tcase $1 in");
	for (s = options_specs; s < options_specs + options_specs_n; s++) {
		if (!s->arg)
			continue;
		printf("\t--%s", s->name);
		if (s->letter)
			printf(" | -%c", s->letter);
		fputs(") words='", stdout);
		print_words(s);
		printf("' what=%s ;;\n", bash_what(s));
	}
	puts("\t*) return 1 ;;\n"
	     "\tesac\n"
	     "}\n");
}

static void bash(void)
{
	const struct option_spec *s;
	/* The word before the cursor may have been divided at = and :. */
	static const char head[] =
		"_rawfuse()\n"
		"{\n"
		"\tlocal i=$COMP_CWORD full=${COMP_WORDS[COMP_CWORD]} words what value pre=\n"
		"\tlocal options list IFS=$' \\t\\n'\n"
		"\twhile ((i > 1)); do\n"
		"\t\t[[ ${COMP_WORDS[i]} == [=:]* || ${COMP_WORDS[i - 1]} == [=:] ]] || break\n"
		"\t\t((--i))\n"
		"\t\tfull=${COMP_WORDS[i]}$full\n"
		"\tdone\n"
		"\tCOMPREPLY=()\n";
	static const char tail[] =
		"\tvalue=$full\n"
		"\tif [[ $full == --*=* ]] && _rawfuse_takes \"${full%%=*}\"; then\n"
		"\t\tpre=${full%%=*}= value=${full#*=}\n"
		"\telif ((i > 1)) && ! _rawfuse_alone \"${COMP_WORDS[i - 1]}\" &&\n"
		"\t\t_rawfuse_takes \"${COMP_WORDS[i - 1]}\"; then\n"
		"\t\t:\n"
		"\telif [[ $full == -* ]]; then\n"
		"\t\twords=$options what=\n"
		"\telse\n"
		"\t\twords= what=file\n"
		"\tfi\n"
		"\tif [[ $what == list || $what == commas ]] && [[ $value == *,* ]]; then\n"
		"\t\tpre+=${value%,*}, value=${value##*,}\n"
		"\tfi\n"
		"\tif [[ $what == list ]]; then\n"
		"\t\twords=$list what=\n"
		"\t\tif [[ $value == *=* ]]; then\n"
		"\t\t\ti=${value%%=*}\n"
		"\t\t\t_rawfuse_takes \"--${i//_/-}\"\n"
		"\t\t\tpre+=$i= value=${value#*=}\n"
		"\t\tfi\n"
		"\tfi\n"
		"\t[[ -z $words ]] || COMPREPLY=($(compgen -W \"$words\" -- \"$value\"))\n"
		"\tif [[ $what == file || $what == dir ]]; then\n"
		"\t\tcompopt -o filenames 2>/dev/null\n"
		"\t\t[[ $what == file ]] && what=-f || what=-d\n"
		"\t\twhile IFS= read -r i; do COMPREPLY+=(\"$i\"); done < <(\n"
		"\t\t\tcompgen $what -- \"$value\")\n"
		"\tfi\n"
		"\t[[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace 2>/dev/null\n"
		"\t# Of a word divided at = or : only the last part is replaced.\n"
		"\tfor i in \"${!COMPREPLY[@]}\"; do\n"
		"\t\tvalue=$pre${COMPREPLY[i]}\n"
		"\t\t[[ $COMP_WORDBREAKS != *=* || $full != *=* ]] ||\n"
		"\t\t\tvalue=${value#\"${full%=*}=\"}\n"
		"\t\t[[ $COMP_WORDBREAKS != *:* || $full != *:* ]] ||\n"
		"\t\t\tvalue=${value#\"${full%:*}:\"}\n"
		"\t\tCOMPREPLY[i]=$value\n"
		"\tdone\n"
		"}\n"
		"complete -F _rawfuse rawfuse";

	print_head("# bash completion for rawfuse");
	bash_values();
	fputs("# Does option $1 take no argument but behind =?\n"
	      "_rawfuse_alone()\n"
	      "{\n"
	      "\tcase $1 in\n"
	      "\t''", stdout);
	for (s = options_specs; s < options_specs + options_specs_n; s++)
		if (is_optional(s))
			printf(" | --%s", s->name);
	puts(") ;;\n"
	     "\t*) return 1 ;;\n"
	     "\tesac\n"
	     "}\n");
	fputs(head, stdout);
	fputs("\toptions='", stdout);
	for (s = options_specs; s < options_specs + options_specs_n; s++) {
		if (s->letter)
			printf("-%c ", s->letter);
		printf("--%s%s ", s->name, s->arg && !is_optional(s) ? "=" : "");
		if (is_optional(s))
			printf("--%s= ", s->name);
	}
	fputs("'\n\tlist='ro rw allow_other nofail ", stdout);
	for (s = options_specs; s < options_specs + options_specs_n; s++) {
		if (!in_list(s))
			continue;
		print_list_name(s->name);
		fputs(s->arg ? "= " : " ", stdout);
	}
	puts("'");
	puts(tail);
}

/* :what:action of _arguments. */
static void zsh_argument(const struct option_spec *s)
{
	if (!s->arg)
		return;
	printf("%s:%s:", is_optional(s) ? ":" : "", s->name);
	if (s->kind == KIND_LIST) {
		const struct option_spec *l;

		fputs("_values -s , option ro rw allow_other nofail", stdout);
		for (l = options_specs; l < options_specs + options_specs_n;
		     l++) {
			if (!in_list(l))
				continue;
			putchar(' ');
			print_list_name(l->name);
			if (l->arg && has(l, WHAT_WORD)) {
				fputs("\\:value\\:\"(", stdout);
				print_words(l);
				fputs(")\"", stdout);
			} else if (l->arg) {
				printf("\\:value\\:%s",
				       has(l, WHAT_FILE) ? "_files" : "");
			}
		}
	} else if (s->kind == KIND_TRACE) {
		fputs("_values -s , part ", stdout);
		print_words(s);
	} else if (has(s, WHAT_FILE)) {
		fputs("_files", stdout);
	} else if (has(s, WHAT_DIR)) {
		fputs("_files -/", stdout);
	} else if (has(s, WHAT_WORD)) {
		putchar('(');
		print_words(s);
		putchar(')');
	}
}

static void zsh(void)
{
	const struct option_spec *s;

	puts("#compdef rawfuse");
	print_head("# zsh completion for rawfuse");
	puts("_arguments -S \\");
	for (s = options_specs; s < options_specs + options_specs_n; s++) {
		const char *equals = is_optional(s) ? "=-" : s->arg ? "=" : "";

		if (s->letter)
			printf("\t'(-%c --%s)'{-%c,--%s%s}'[", s->letter, s->name,
			       s->letter, s->name, equals);
		else
			printf("\t'--%s%s[", s->name, equals);
		print_help(s->help, "'\\''", "[]:\\");
		putchar(']');
		zsh_argument(s);
		puts("' \\");
	}
	puts("\t'1:image:_files' \\\n"
	     "\t'2:mountpoint:_files'");
}

static void fish(void)
{
	const struct option_spec *s;

	print_head("# fish completion for rawfuse");
	for (s = options_specs; s < options_specs + options_specs_n; s++) {
		fputs("complete -c rawfuse", stdout);
		if (s->letter)
			printf(" -s %c", s->letter);
		printf(" -l %s", s->name);
		if (s->arg && has(s, WHAT_FILE))
			fputs(is_optional(s) ? " -F" : " -r -F", stdout);
		else if (s->arg && has(s, WHAT_DIR))
			fputs(" -x -a '(__fish_complete_directories)'", stdout);
		else if (s->arg && !is_optional(s))
			fputs(" -x", stdout);
		if (has(s, WHAT_WORD)) {
			fputs(" -a '", stdout);
			print_words(s);
			putchar('\'');
		}
		fputs(" -d '", stdout);
		print_help(s->help, "\\'", "\\");
		puts("'");
	}
}

int main(int argc, char **argv)
{
	const char *shell = argc == 2 ? argv[1] : "";

	if (!strcmp(shell, "bash"))
		bash();
	else if (!strcmp(shell, "zsh"))
		zsh();
	else if (!strcmp(shell, "fish"))
		fish();
	else
		fputs("usage: completion bash|zsh|fish\n", stderr);
	if (!*shell || fflush(stdout) || ferror(stdout))
		return EXIT_FAILURE;
	return EXIT_SUCCESS;
}
