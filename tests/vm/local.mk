# Other kernels: tests/vm/run.sh tells the settings, which make passes on.
#
# check-vm: one kernel, the newest; check-vm-all: all of tests/vm/kernels, and
# machines with many possible CPUs.

EXTRA_DIST += \
	tests/vm/apt.sh tests/vm/cost.sh tests/vm/cpus.sh tests/vm/emulator.sh \
	tests/vm/guest.sh tests/vm/image.sh tests/vm/init \
	tests/vm/kernel.sh tests/vm/kernels tests/vm/modes tests/vm/modules.sh \
	tests/vm/run.sh tests/vm/smoke.sh tests/vm/tests

# Given as arguments of make, they are in the environment of its commands.
vm_programs = rawfuse$(EXEEXT) $(check_PROGRAMS)
vm_run = $(AM_TESTS_ENVIRONMENT) exec bash '$(srcdir)/tests/vm/run.sh'

check-vm: $(vm_programs)
	@$(vm_run)

check-vm-all: $(vm_programs)
	@VM_KERNELS="$${VM_KERNELS:-$$(sed '/^#/d; s/[[:space:]].*//' \
		'$(srcdir)/tests/vm/kernels' | tr '\n' ' ')}"; \
	VM_TESTS="$${VM_TESTS:-all}" VM_MANY="$${VM_MANY-64 256}" \
	VM_LIMIT="$${VM_LIMIT:-2400}"; \
	export VM_KERNELS VM_TESTS VM_MANY VM_LIMIT; $(vm_run)

.PHONY: check-vm check-vm-all
