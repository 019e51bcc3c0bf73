# Other machines and another C library: tests/cross/run.sh tells the settings,
# which make passes on. All is built anew, below tests/cross.

EXTRA_DIST += \
	tests/cross/check-config.h tests/cross/musl.sh \
	tests/cross/packages.sh tests/cross/run.sh

TESTS += tests/cross/musl-headers.sh
EXTRA_DIST += tests/cross/musl-headers.sh

check-cross:
	@$(AM_TESTS_ENVIRONMENT) exec bash '$(srcdir)/tests/cross/run.sh'

clean-local:
	rm -rf tests/cross/musl tests/cross/i386 tests/cross/s390x \
		tests/cross/arm64 tests/cross/armhf

.PHONY: check-cross
