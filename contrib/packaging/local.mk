# Packages of the tarball; contrib/packaging/build.sh tells what that takes.

packaging = contrib/packaging
EXTRA_DIST += $(packaging)/build.sh \
	$(packaging)/debian/changelog $(packaging)/debian/control \
	$(packaging)/debian/copyright $(packaging)/debian/rawfuse.links \
	$(packaging)/debian/rules $(packaging)/debian/source/format \
	$(packaging)/rpm/rawfuse.spec $(packaging)/alpine/APKBUILD \
	$(packaging)/openwrt/Makefile

deb rpm: dist
	bash '$(srcdir)/$(packaging)/build.sh' $@ $(distdir).tar.xz packages

.PHONY: deb rpm
