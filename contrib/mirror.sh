#!/bin/bash
# Prints where apt has this system's own packages from: the URI of the mirror.
# Exits 1 if apt's sources name none.
set -u
codename=$(. /etc/os-release && printf %s "${VERSION_CODENAME:-}")
apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' \
	'Created-By: Packages' |
	awk -v c="$codename" '$1 == c && $2 == "main" { print $3; found = 1; exit }
		END { exit !found }'
