#!/usr/bin/env bash
# Installs what is needed, builds, passes the tests. The only command that a
# fresh machine needs; the last line counts tests.
set -u
cd "$(dirname "$0")/.." || exit 1
. contrib/lib.sh

# shellcheck disable=SC2086
install $build_packages $check_packages
enable_uring
dir=${BUILD_DIR:-$top/build}
say "Building in $dir"
build "$dir" --enable-werror
say "Testing (make check)"
cd "$dir" || exit 1
make check >check.log 2>&1
status=$?
grep -E '^(PASS|SKIP|FAIL|ERROR|XPASS):|% *: Checks|%: Checks' check.log
for log in $(find tests -name '*.log' | sort); do
  case $(tail -n 1 "$log") in
    *'(exit status: 77)'*) printf -- '-- %s: %s\n' "$log" \
      "$(tail -n 3 "$log" | head -n 1)" ;;
  esac
done
count() { grep -cE "^($1):" check.log; }
passed=$(count PASS) failed=$(count 'FAIL|ERROR|XPASS') skipped=$(count SKIP)
if [ "$failed" != 0 ]; then
  [ -e test-suite.log ] && tail -n 200 test-suite.log
elif [ $status != 0 ] || [ "$passed" = 0 ]; then
  tail -n 50 check.log
  failed=1
fi
printf '%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" = 0 ]
