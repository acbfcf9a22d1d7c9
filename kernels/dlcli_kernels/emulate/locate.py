"""File and line of an address in a compiled kernel, from the debug information, by addr2line."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

BUILT_IN = re.compile(r"^.*/\.building-[^/]*/(?:\./)?")  # the folder that a file was compiled in


def places(library: Path, offsets: Sequence[int]) -> list[str]:
    """ "matmul/cuda_raw_naive.cu:31" for each return address, given from the library's start.

    The innermost line of the kernel's own file where a header's function was inlined.
    """
    tool = shutil.which("addr2line")
    if tool is None:
        return [f"{library.stem}+{offset:#x}" for offset in offsets]
    found = []
    for offset in offsets:  # the call itself stands before the address that it returns to
        done = subprocess.run(
            [tool, "-i", "-e", str(library), hex(offset - 1)],
            capture_output=True,
            text=True,
            check=False,
        )
        frames = [line.split(" (")[0] for line in done.stdout.splitlines()]
        own = [frame for frame in frames if frame.split(":")[0].endswith(".cu")]
        found.append(BUILT_IN.sub("", (own or frames or ["?"])[0]))
    return found
