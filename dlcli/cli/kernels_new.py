"""dlcli kernels new: writes a small kernel that works, to start your own from."""

from __future__ import annotations

import inspect
from importlib import resources
from pathlib import Path
from typing import Any

import click

from dlcli.cli import output
from dlcli.cli.options import Choice, command, output_options
from dlcli.errors import UsageError, did_you_mean

TIERS = {"cpu_numba": ".py", "cuda_numba": ".py", "cuda_raw": ".cu"}  # and the ending of a file

ANY_OP = '''\
"""{op} to start from: NumPy, by the op's own reference. Replace the lines of `{op}` by your own.

It writes into its first arguments and makes no array that it keeps; an operand that is absent is
None. Arrays are contiguous, but may be a range of the whole along one axis.
"""

from dlcli_kernels import registry
from dlcli_kernels.spec import as_tuple

DEVICE = "cpu"


def supports(op, *ins, **attrs):
    """Which calls it takes; without this function, all. ins: specs with .shape and .dtype."""
    return True


def {op}({parameters}):
    results = registry.op("{op}").reference({arguments})
    for array, values in zip(({outputs}), as_tuple(results), strict=True):
        if array is not None:
            array[...] = values
'''


@command(
    "new",
    examples=[
        "dlcli kernels new matmul my_matmul.cu",
        "dlcli kernels new conv2d my_conv.py",
        "dlcli kernels list --kernel-file my_matmul.cu --kernel-file my_conv.py",
    ],
)
@click.argument("op")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--tier", type=Choice(list(TIERS)), help="Of a .py: cpu_numba [default], cuda_numba.")
@output_options
def main(op: str, file: Path, tier: str | None) -> None:
    """Writes FILE, a kernel for OP: CUDA C++ if it ends in .cu, Numba on the CPU if in .py.

    A .cu file gets a .toml beside it with the few lines that launch it. Nothing is overwritten.
    """
    from dlcli_kernels import registry

    if op not in registry.ops():
        raise UsageError(f"there is no op '{op}'", why=did_you_mean(op, registry.ops()))
    tier = tier or ("cuda_raw" if file.suffix == ".cu" else "cpu_numba")
    if file.suffix != TIERS[tier]:
        raise UsageError(
            f"{file}: a kernel file ends in .py or .cu",
            why=f"one of {tier} ends in {TIERS[tier]}",
        )
    if not file.stem.isidentifier():
        raise UsageError(
            f"{file}: the name is also the variant's", why="letters, digits and _ are allowed"
        )
    texts = _texts(registry.op(op), file, tier)
    for path in texts:
        if path.exists():
            raise UsageError(f"{path} is there already", hint="choose another name, or remove it")
    file.parent.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    emulate = "" if tier == "cpu_numba" else " --emulate"
    following = [f"dlcli kernels verify --kernel-file {file}{emulate}"]
    following += [
        f"dlcli kernels bench {op} --kernel-file {file}{' --device cuda' * bool(emulate)}"
    ]
    if output.settings.json:
        output.document({"op": op, "tier": tier, "files": list(texts), "next": following})
        return
    output.text(f"wrote {' and '.join(map(str, texts))}")
    output.text("next:")
    for line in following:
        output.text(f"  {line}")


def _texts(op: Any, file: Path, tier: str) -> dict[Path, str]:
    """What is written to which file. UsageError where there is no template."""
    folder = resources.files("dlcli_kernels") / "templates"
    there = sorted(path.name for path in folder.iterdir())
    if tier == "cuda_raw":
        if f"{op.name}.cu" in there:
            endings = {file: ".cu", file.with_suffix(".toml"): ".toml"}
            return {
                path: (folder / f"{op.name}{ending}").read_text(encoding="utf-8")
                for path, ending in endings.items()
            }
        names = [name.removesuffix(".cu") for name in there if name.endswith(".cu")]
    else:
        prefix = "cpu_" if tier == "cpu_numba" else "cuda_numba_"
        if f"{prefix}{op.name}.py" in there:
            return {file: (folder / f"{prefix}{op.name}.py").read_text(encoding="utf-8")}
        if tier == "cpu_numba":
            return {file: _any_op(op)}
        names = [n.removeprefix(prefix).removesuffix(".py") for n in there if n.startswith(prefix)]
    raise UsageError(
        f"there is no beginning for {op.name} in {tier}",
        why=f"there is one for {', '.join(names)}",
        hint=f"`dlcli kernels new {op.name} {file.stem}.py` begins one for the CPU",
    )


def _any_op(op: Any) -> str:
    """A variant of any op, which calls the reference."""
    from dlcli_kernels.user_signature import output_names

    outputs, inputs = output_names(op), op.inputs
    parameters = inspect.signature(op.infer).parameters
    attributes = [str(parameters[name]).partition(":")[0] for name in op.attrs]
    extra = ["start"] if op.offset else []
    keywords = [*attributes, *extra]
    arguments = [*inputs, *(f"{name}={name}" for name in (*op.attrs, *extra))]
    return ANY_OP.format(
        op=op.name,
        parameters=", ".join((*outputs, *inputs, *(["*"] if keywords else []), *keywords)),
        arguments=", ".join(arguments),
        outputs="".join(f"{name}, " for name in outputs).strip(),
    )
