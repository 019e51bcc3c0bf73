TESTS += tests/docs/options.sh
EXTRA_DIST += tests/docs/options.sh
TESTS += tests/docs/transcripts.sh
EXTRA_DIST += tests/docs/transcripts.sh
TESTS += tests/docs/completion.sh
EXTRA_DIST += tests/docs/completion.sh
TESTS += tests/docs/system.sh
EXTRA_DIST += tests/docs/system.sh
