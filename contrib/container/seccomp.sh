#!/usr/bin/env bash
# seccomp.sh [PROFILE]: a seccomp profile for rawfuse on standard output: PROFILE,
# the default one of the container engine, and the system calls that it denies
# and rawfuse needs. A call that a profile denies cannot be allowed beside it, so
# the whole of it is written anew.
#
#	seccomp.sh >rawfuse.json
#	podman run --security-opt=seccomp=rawfuse.json ...
#
# io_uring: denied by the defaults of Docker, containerd and Podman. Without it
# requests go by /dev/fuse.
# Mounting: they allow it to those who have CAP_SYS_ADMIN, which it takes anyway.
# /dev/fuse: no system call is in question, but the device must be there
# (--device=/dev/fuse), or a descriptor of it.
#
# For Kubernetes put the file into /var/lib/kubelet/seccomp of each node, and its
# name in localhostProfile.
set -eu
profile=${1:-}
for file in /etc/containers/seccomp.json /usr/share/containers/seccomp.json; do
  [ -n "$profile" ] || [ ! -e $file ] || profile=$file
done
if [ -z "$profile" ]; then
  echo "seccomp.sh: no default profile found; give it as PROFILE (that of" \
    "Docker: profiles/seccomp/default.json of github.com/moby/moby)" >&2
  exit 1
fi
[ "$(grep -c '"syscalls": *\[' "$profile")" = 1 ] || {
  echo "seccomp.sh: $profile: it is no profile in one list of \"syscalls\"" >&2
  exit 1
}
sed 's/"syscalls": *\[/&\
		{\
			"names": ["io_uring_setup", "io_uring_enter",\
				"io_uring_register"],\
			"action": "SCMP_ACT_ALLOW"\
		},/' "$profile"
