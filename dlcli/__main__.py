"""The process `dlcli`, or `python -m dlcli`: the command line, and as little as can be around it.

Numba and what it loads make half a million objects that live until the end. Python's collector of
cycles would walk them again and again on the way up, and once more on the way out: together they
took a third of the time in which a picture is classified. A step leaves no cycles behind, so
memory does not grow by a collector that seldom runs (bench/README.md).
"""

import gc
import sys

from dlcli.cli.main import main

YOUNG = 50_000  # objects made and not freed before the collector looks for cycles; Python's is 700


def run() -> int:
    """The exit code of `dlcli` with the process's arguments."""
    gc.set_threshold(YOUNG)
    code = main()
    gc.freeze()
    return code


if __name__ == "__main__":
    sys.exit(run())
