/* --probe: what this machine offers. */
#ifndef RAWFUSE_CLI_PROBE_H
#define RAWFUSE_CLI_PROBE_H

/* Prints it to stdout. Returns the exit status: 0 if a mount can work. */
int probe_run(void);

#endif
