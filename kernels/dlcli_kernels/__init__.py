"""The kernel library: arrays in, arrays out. A folder per family of ops; `op.py` is its contract, `<device>_<how>.py` a variant."""
