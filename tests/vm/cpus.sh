# Many possible CPUs.
. "$abs_top_srcdir/tests/integration/lib.sh"
finish
