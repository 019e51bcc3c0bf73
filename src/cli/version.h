/* What was built: --version and --dump-config. */
#ifndef RAWFUSE_CLI_VERSION_H
#define RAWFUSE_CLI_VERSION_H

void version_print(void);
void version_dump_config(void);

#endif
