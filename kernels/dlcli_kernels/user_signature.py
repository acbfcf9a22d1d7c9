"""What a kernel takes: an op's outputs by name, the parameters of the kernels in a `.cu` text."""

from __future__ import annotations

import re

import numpy as np

from .check_compare import specs_of
from .check_data import make_inputs
from .spec import Op

BOUNDS = r"(?:__launch_bounds__\s*\([^)]*\)\s*)?"
KERNEL = re.compile(rf'extern\s+"C"\s+__global__\s+{BOUNDS}void\s+{BOUNDS}(\w+)\s*\(')
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


def parameters_of(source: str) -> dict[str, list[str]]:
    """{kernel: its parameters as they are written} of every `extern "C" __global__ void` of a
    source text; comments do not count.
    """
    text = COMMENT.sub(" ", source)
    found = {}
    for match in KERNEL.finditer(text):
        inside, depth = [""], 1
        for letter in text[match.end() :]:
            depth += (letter in "(<[") - (letter in ")>]")
            if not depth:
                break
            if letter == "," and depth == 1:
                inside.append("")
            else:
                inside[-1] += letter
        found[match[1]] = [part for part in (" ".join(p.split()) for p in inside) if part]
    return found


def output_names(op: Op) -> tuple[str, ...]:
    """The op's outputs in their order, as `infer` names them for its first case."""
    case = op.cases[0]
    ins = make_inputs(op, case, np.random.default_rng(0), np.dtype(np.float32))
    attrs = {name: value for name, value in case.attrs.items() if name in op.attrs}
    return tuple(op.infer(*specs_of(ins), **attrs))
