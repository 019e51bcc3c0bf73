# What connects rawfuse to a system: each directory is a switch of configure.

system_sources = \
	contrib/system/rawfuse@.service.in \
	contrib/system/rawfuse.initd.in contrib/system/rawfuse.procd.in \
	contrib/system/rawfuse.confd contrib/system/rawfuse.uci \
	contrib/system/rawfuse.modprobe.conf \
	contrib/system/rawfuse.modules-load.conf
system_made = \
	contrib/system/rawfuse@.service contrib/system/rawfuse.initd \
	contrib/system/rawfuse.procd

EXTRA_DIST += $(system_sources)
CLEANFILES += $(system_made)
dist_doc_DATA = NEWS README.md contrib/system/fstab.example \
	contrib/system/example.conf

$(system_made): config.status
	@$(MKDIR_P) contrib/system
	$(AM_V_GEN)sed -e 's#[@]bindir[@]#$(bindir)#g' \
		-e 's#[@]sysconfdir[@]#$(sysconfdir)#g' \
		'$(srcdir)/$@.in' >$@.new && mv $@.new $@
contrib/system/rawfuse@.service: contrib/system/rawfuse@.service.in
contrib/system/rawfuse.initd: contrib/system/rawfuse.initd.in
contrib/system/rawfuse.procd: contrib/system/rawfuse.procd.in

if INSTALL_SYSTEMD_UNIT_DIR
systemdunitdir = $(systemd_unit_dir)
nodist_systemdunit_DATA = contrib/system/rawfuse@.service
endif

# Names in these directories are not those of the sources.
install-data-hook:
if INSTALL_MODPROBE_DIR
	$(MKDIR_P) '$(DESTDIR)$(modprobe_dir)'
	$(INSTALL_DATA) '$(srcdir)/contrib/system/rawfuse.modprobe.conf' \
		'$(DESTDIR)$(modprobe_dir)/rawfuse.conf'
endif
if INSTALL_MODULES_LOAD_DIR
	$(MKDIR_P) '$(DESTDIR)$(modules_load_dir)'
	$(INSTALL_DATA) '$(srcdir)/contrib/system/rawfuse.modules-load.conf' \
		'$(DESTDIR)$(modules_load_dir)/rawfuse.conf'
endif
if INSTALL_OPENRC_DIR
	$(MKDIR_P) '$(DESTDIR)$(openrc_dir)/init.d' \
		'$(DESTDIR)$(openrc_dir)/conf.d'
	$(INSTALL_SCRIPT) contrib/system/rawfuse.initd \
		'$(DESTDIR)$(openrc_dir)/init.d/rawfuse'
	$(INSTALL_DATA) '$(srcdir)/contrib/system/rawfuse.confd' \
		'$(DESTDIR)$(openrc_dir)/conf.d/rawfuse'
endif
if INSTALL_PROCD_DIR
	$(MKDIR_P) '$(DESTDIR)$(procd_dir)/init.d' \
		'$(DESTDIR)$(procd_dir)/config'
	$(INSTALL_SCRIPT) contrib/system/rawfuse.procd \
		'$(DESTDIR)$(procd_dir)/init.d/rawfuse'
	$(INSTALL_DATA) '$(srcdir)/contrib/system/rawfuse.uci' \
		'$(DESTDIR)$(procd_dir)/config/rawfuse'
endif

all-local: contrib/system/rawfuse.initd contrib/system/rawfuse.procd

uninstall-local:
if INSTALL_MODPROBE_DIR
	rm -f '$(DESTDIR)$(modprobe_dir)/rawfuse.conf'
endif
if INSTALL_MODULES_LOAD_DIR
	rm -f '$(DESTDIR)$(modules_load_dir)/rawfuse.conf'
endif
if INSTALL_OPENRC_DIR
	rm -f '$(DESTDIR)$(openrc_dir)/init.d/rawfuse' \
		'$(DESTDIR)$(openrc_dir)/conf.d/rawfuse'
endif
if INSTALL_PROCD_DIR
	rm -f '$(DESTDIR)$(procd_dir)/init.d/rawfuse' \
		'$(DESTDIR)$(procd_dir)/config/rawfuse'
endif
