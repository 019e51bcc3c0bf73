#!/usr/bin/env bash
# --help and the man page name the same options, and the page is sound mdoc.
set -u
page=$srcdir/man/rawfuse.1
fail=0
complain() { echo "options.sh: $*"; fail=1; }

help=$("$abs_top_builddir/rawfuse" --help) || complain "--help failed"
in_help=$(printf '%s\n' "$help" | grep -oE '^ *(-., )? *--[a-z-]+' |
  grep -oE -e '--[a-z-]+' | sort -u)
in_page=$(grep -E '^\.It.*Fl Fl ' "$page" | grep -oE 'Fl Fl [a-z-]+' |
  sed 's/Fl Fl /--/' | sort -u)
[ -n "$in_help" ] || complain "no option found in --help"
[ "$in_help" = "$in_page" ] ||
  complain "options differ: $(diff <(echo "$in_help") <(echo "$in_page"))"
if command -v mandoc >/dev/null; then
  lint=$(mandoc -T lint -W error "$page" 2>&1 | grep -v 'mandoc.db')
  [ -z "$lint" ] || complain "$lint"
else
  [ $fail = 0 ] && { echo "mandoc is not installed"; exit 77; }
fi
exit $fail
