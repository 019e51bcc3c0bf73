TESTS += tests/docs/options.sh
EXTRA_DIST += tests/docs/options.sh
