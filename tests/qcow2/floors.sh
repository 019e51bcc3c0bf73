#!/bin/bash
# The floors of the qcow2 driver: no file includes a header of a higher floor
# than its own. The table of floors is the note in image.h. No include names a
# header of another floor that is not there, and no file stands in none.
set -u
dir=${srcdir:-.}/src/block/qcow2
note=$dir/image.h
declare -A floor
n=0 bad=0

complain() {
  echo "$*" >&2
  bad=1
}

# Lines of names, up to the first two blanks, from "the ground first" on.
while read -r names; do
  n=$((n + 1))
  for name in $names; do
    floor[$name]=$n
  done
done < <(sed -n '/the ground first/,/^ \*\//s/^ \*   \([a-z].*\)/\1/p' "$note" |
  sed 's/  .*//')

[ $n -gt 10 ] || complain "$note: no table of floors"
for file in "$dir"/*.[ch]; do
  name=${file##*/} name=${name%.*}
  here=${floor[$name]-}
  [ "$here" ] || { complain "$file: on no floor in $note"; continue; }
  while read -r header; do
    there=${floor[$header]-0}
    [ "$there" -gt 0 ] && [ "$there" -le "$here" ] ||
      complain "$file: $header.h is on a higher floor ($there) than it ($here)"
  done < <(sed -n 's/^#include "block\/qcow2\/\(.*\)\.h"/\1/p' "$file")
done
exit $bad
