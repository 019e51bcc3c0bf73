# Unit tests: Check, a fake kernel.
