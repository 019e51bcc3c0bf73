# Integration tests: real mounts, real tools.
