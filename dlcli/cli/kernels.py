"""dlcli kernels: lists, verifies, shows, benchmarks and tunes kernels, and begins one of your own.

A command `dlcli kernels <name>` is the file `kernels_<name>.py` beside this one.
"""

from __future__ import annotations

import click

from dlcli.cli.lazy import LazyGroup
from dlcli.cli.options import HELP, WithExamples


class _Kernels(WithExamples, LazyGroup):
    path = "kernels"
    examples = ("dlcli kernels list matmul", "dlcli kernels verify add")


@click.group("kernels", cls=_Kernels, context_settings=HELP)
def main() -> None:
    """The kernels: what there is, whether it is right, and how fast it is.

    An op (matmul) is a contract; a variant (cpu_blas) is a file that implements it. A kernel of
    your own is a file too: `dlcli kernels new` begins one, --kernel-file takes it.
    """
