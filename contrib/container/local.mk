# A container image: contrib/container/build.sh tells what that takes.

EXTRA_DIST += \
	contrib/container/Containerfile contrib/container/build.sh \
	contrib/container/pod.yaml contrib/container/seccomp.sh

container:
	bash '$(srcdir)/contrib/container/build.sh' contrib/container/static

.PHONY: container

# Sizes, and how long it takes to start.
sizes: rawfuse
	bash '$(srcdir)/contrib/sizes.sh' ./rawfuse contrib/container/static

EXTRA_DIST += contrib/sizes.sh
.PHONY: sizes
