#!/usr/bin/env bash
# --help=all and the man page name the same options, --help and the page's common
# options are the same, help fits 80 columns, and all pages are sound mdoc.
set -u
page=$srcdir/man/rawfuse.1
fail=0
complain() { echo "options.sh: $*"; fail=1; }

help=$("$abs_top_builddir/rawfuse" --help=all) || complain "--help=all failed"
short=$("$abs_top_builddir/rawfuse" --help) || complain "--help failed"
options_of() {
  printf '%s\n' "$1" | grep -oE '^ *(-., )? *--[a-z-]+' |
    grep -oE -e '--[a-z-]+' | sort -u
}
in_help=$(options_of "$help")
in_short=$(options_of "$short")
in_page=$(grep -E '^\.It.*Fl Fl ' "$page" | grep -oE 'Fl Fl [a-z-]+' |
  sed 's/Fl Fl /--/' | sort -u)
[ -n "$in_help" ] || complain "no option found in --help=all"
[ -n "$in_short" ] || complain "no option found in --help"
extra=$(comm -13 <(echo "$in_help") <(echo "$in_short"))
[ -z "$extra" ] || complain "--help has what --help=all lacks: $extra"
wide=$(printf '%s\n' "$help" "$short" | grep -E '^.{81}')
[ -z "$wide" ] || complain "--help is wider than 80 columns: $wide"
[ "$in_help" = "$in_page" ] ||
  complain "options differ: $(diff <(echo "$in_help") <(echo "$in_page"))"
common=$(sed -n '/^\.Ss Common options/,/^\.Ss Further/p' "$page" |
  grep -E '^\.It.*Fl Fl ' | grep -oE 'Fl Fl [a-z-]+' | sed 's/Fl Fl /--/' | sort -u)
[ "$in_short" = "$common" ] || complain "the page's common options differ from" \
  "--help: $(diff <(echo "$in_short") <(echo "$common"))"
if command -v mandoc >/dev/null; then
  # The examples come first, against custom; which other pages are installed says
  # nothing of these.
  lint=$(mandoc -T lint "$srcdir"/man/rawfuse*.[1-9] 2>&1 | grep -vE \
    'mandoc.db|referenced manual not found|conventional order: Sh DESCRIPTION')
  [ -z "$lint" ] || complain "$lint"
else
  [ $fail = 0 ] && { echo "mandoc is not installed"; exit 77; }
fi
exit $fail
