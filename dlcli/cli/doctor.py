"""dlcli doctor: says what this machine offers, and runs a kernel to prove that it works.

Nothing is assumed: each line is asked of the library that knows. A part that is missing is said
in one line; what is wrong, and what mends it, stands in `doctor_findings.py`.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

from dlcli import __version__
from dlcli.cli import doctor_findings as findings
from dlcli.cli import output
from dlcli.cli.options import command, data_dir, output_options
from dlcli.train import environment

KERNEL = "maxpool2d"  # compiled by Numba, small, and not in BLAS


@command("doctor", examples=["dlcli doctor", "dlcli doctor --json"])
@output_options
@data_dir
def main(data_dir: Path | None) -> None:
    """Says what this machine offers: versions, cores, caches, BLAS, CUDA, datasets, one kernel.

    The kernel is compiled where it is not cached, run, and compared with its reference. For each
    thing that is wrong it names a command that mends it; what stops training is the exit code: 5 of
    a kernel or a library, 9 where runs cannot be written, 2 of a setting. The text (or --json) is
    what a report of a bug should hold.
    """
    found = {
        "dlcli": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "executable": sys.executable,
        "processor": environment.processor(),
        "libraries": environment.libraries(),
        "devices": _devices(),
        "blas": _blas(),
        "kernel_cache": _cache(),
        "runs": findings.place(findings.RUNS),
        "data": _data(data_dir),
        "kernel": _kernel(),
    }
    wrong = findings.problems(found)
    if output.settings.json:
        output.document({**found, "problems": [problem.to_json() for problem in wrong]})
    else:
        _show(found, wrong)
    for problem in wrong:
        if problem.kind is not None:
            raise problem.kind(problem.what, why=problem.why, hint=problem.mend)


def _devices() -> dict[str, Any]:
    from dlcli.engine import device

    return device.facts()


def _blas() -> list[dict[str, Any]]:
    import numpy  # noqa: F401  (brings its BLAS)
    from threadpoolctl import threadpool_info

    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    wanted = ("internal_api", "version", "architecture", "num_threads")
    return [{key: pool.get(key) for key in wanted} for pool in pools]


def _cache() -> dict[str, Any]:
    from dlcli_kernels.cpu import cache_folder

    folder = cache_folder()
    kept = sum(1 for _ in folder.rglob("*.nbc")) if folder else 0
    return {**findings.place(folder), "kernels": kept}


def _data(data_dir: Path | None) -> dict[str, Any]:
    from dlcli.data import catalog

    infos = [catalog.describe(name, data_dir=data_dir) for name in catalog.names()]
    return {
        "environment": os.environ.get("DLCLI_DATA"),
        "here": [info.name for info in infos if info.embedded or info.folder],
        "absent": [info.name for info in infos if not (info.embedded or info.folder)],
    }


def _kernel() -> dict[str, Any]:
    """Compiles and verifies the preferred CPU variant of one op on one of its own cases."""
    from dlcli_kernels import check, cpu, registry

    compiled: list[str] = []
    cpu.on_compile(compiled.append)
    op = registry.op(KERNEL)
    variant = registry.variant(op, op.prefer["cpu", "float32"][0])
    began = time.perf_counter()
    result = check.verify(op, variant, op.cases[0], "float32", seed=0)
    return {
        "name": KERNEL,
        "variant": variant.name,
        "ok": result.ok,
        "reason": result.reason,
        "compiled": bool(compiled),
        "seconds": round(time.perf_counter() - began, 3),
    }


def _show(found: dict[str, Any], wrong: list[findings.Problem]) -> None:
    cuda, cpu, kernel = found["devices"]["cuda"], found["devices"]["cpu"], found["kernel"]
    cache, data = found["kernel_cache"], found["data"]
    missing = "not installed"
    works = "compiled, right" if kernel["compiled"] else "from the cache, right"
    rows = [
        ("dlcli", f"{found['dlcli']} on Python {found['python']} ({found['executable']})"),
        ("platform", found["platform"]),
        ("libraries", ", ".join(f"{k} {v or missing}" for k, v in found["libraries"].items())),
        ("cpu", f"{found['processor']}, {cpu['threads']} threads"),
        ("cuda", _cuda(cuda)),
        ("blas", "; ".join(_pool(pool) for pool in found["blas"]) or "none found"),
        ("kernel cache", _where(cache)),
        ("runs", _room(found["runs"])),
        ("data here", ", ".join(data["here"])),
        ("data absent", ", ".join(data["absent"]) or "none"),
        ("DLCLI_DATA", data["environment"] or "not set"),
        (
            "kernel",
            f"{kernel['name']}/{kernel['variant']}: "
            + (works if kernel["ok"] else f"WRONG: {kernel['reason']}")
            + f" ({kernel['seconds']:.2f} s)",
        ),
    ]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        output.text(f"{name:<{width}}  {output.printable(value)}")
    output.text()
    for problem in wrong:
        level = problem.to_json()["level"]
        output.text(output.printable(f"{level}: {problem.what}: {problem.why}"))
        output.text(output.printable(f"  mended by: {problem.mend}"))
    if not wrong:
        output.text("nothing is wrong")


def _cuda(found: dict[str, Any]) -> str:
    if not found["available"]:
        return f"no: {found['why']}"
    gpu = f"{found['name']}, {found['arch']}, {found['memory'] / (1 << 30):.0f} GiB"
    return f"yes: {gpu}; driver for CUDA {found['driver']}; a kernel compiled, ran and was right"


def _pool(pool: dict[str, Any]) -> str:
    words = [pool["internal_api"], pool["version"], pool["architecture"]]
    return " ".join(str(word) for word in words if word)


def _where(cache: dict[str, Any]) -> str:
    if not cache["writable"]:
        return "no writable folder: kernels are compiled anew by each process (set DLCLI_CACHE)"
    return f"{_room(cache)}, {cache['kernels']} compiled"


def _room(place: dict[str, Any]) -> str:
    free = place["free_bytes"]
    room = "free space unknown" if free is None else f"{free / 1e9:,.1f} GB free"
    return f"{place['folder']} ({'writable' if place['writable'] else 'NOT writable'}, {room})"
