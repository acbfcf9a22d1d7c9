"""The kernel library: arrays in, arrays out.

A folder per family of ops; its `op.py` is the contract, a `<device>_<how>.py` beside it a variant.
"""
