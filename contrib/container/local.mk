# A container image: contrib/container/build.sh tells what that takes.

EXTRA_DIST += \
	contrib/container/Containerfile contrib/container/build.sh \
	contrib/container/pod.yaml contrib/container/seccomp.sh

container:
	bash '$(srcdir)/contrib/container/build.sh' contrib/container/static

.PHONY: container
