# Completion of bash, zsh and fish, made from the table of options. The program
# that prints it is compiled by CC_FOR_BUILD in one step, and without the flags
# for rawfuse, so a cross build needs no more than a compiler of its own machine.

completion_sources = \
	$(srcdir)/src/cli/completion.c $(srcdir)/src/cli/options_table.c
completion_headers = \
	$(srcdir)/src/cli/budget.h $(srcdir)/src/cli/options.h \
	$(srcdir)/src/cli/options_int.h
completion_files = \
	contrib/completion/rawfuse contrib/completion/_rawfuse \
	contrib/completion/rawfuse.fish

EXTRA_DIST += src/cli/completion.c
CLEANFILES += contrib/completion/completion $(completion_files)

if INSTALL_BASH_COMPLETION_DIR
bashcompletiondir = $(bash_completion_dir)
nodist_bashcompletion_DATA = contrib/completion/rawfuse
endif
if INSTALL_ZSH_COMPLETION_DIR
zshcompletiondir = $(zsh_completion_dir)
nodist_zshcompletion_DATA = contrib/completion/_rawfuse
endif
if INSTALL_FISH_COMPLETION_DIR
fishcompletiondir = $(fish_completion_dir)
nodist_fishcompletion_DATA = contrib/completion/rawfuse.fish
endif

contrib/completion/completion: $(completion_sources) $(completion_headers)
	@$(MKDIR_P) contrib/completion
	$(AM_V_CC)$(CC_FOR_BUILD) $(CFLAGS_FOR_BUILD) -std=gnu11 \
		-I$(top_builddir) -I$(srcdir)/src -o $@ $(completion_sources)

contrib/completion/rawfuse: contrib/completion/completion
	$(AM_V_GEN)contrib/completion/completion bash >$@.new && mv $@.new $@

contrib/completion/_rawfuse: contrib/completion/completion
	$(AM_V_GEN)contrib/completion/completion zsh >$@.new && mv $@.new $@

contrib/completion/rawfuse.fish: contrib/completion/completion
	$(AM_V_GEN)contrib/completion/completion fish >$@.new && mv $@.new $@
