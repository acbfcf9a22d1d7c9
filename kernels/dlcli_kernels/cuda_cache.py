"""Cubins on disk: a kernel is compiled once per source, constants, architecture and compiler.

An entry is a file named by the hash of all that goes into it, written beside and renamed into
place: processes that compile the same at once each put a whole entry there. It begins with a
checksum; what fails it is compiled anew and replaced. Where nothing can be written kernels are
compiled in each process, which is said once.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import re
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import cache, cuda_compile
from .cuda_compile import Cubin, Resources
from .raw import Source, headers

FORMAT = "dlcli-cubin-1"  # changes with what an entry holds
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def cubin(source: Source, constants: Sequence[tuple[str, int | str]], arch: str) -> Cubin:
    """The source's machine code for `arch`, from the cache or compiled now.

    Raises CompileError and CompilerMissing as `cuda_compile.compile` does.
    """
    text = source.text()
    included = used_headers(text, headers())
    folder = cache.folder("cubin")
    entry = None if folder is None else folder / f"{key(text, included, constants, arch)}.cubin"
    found = None if entry is None else read(entry)
    if found is None:
        found = cuda_compile.compile(text, source.name, included, constants, arch)
        if entry is None:
            _say_not_kept("the cache folder cannot be written")
        else:
            write(entry, found)
    return found


def used_headers(text: str, available: Mapping[str, str]) -> dict[str, str]:
    """Those of the available headers that the text includes, directly or through each other."""
    used: dict[str, str] = {}
    waiting = [text]
    while waiting:
        for name in INCLUDE.findall(waiting.pop()):
            if name in available and name not in used:
                used[name] = available[name]
                waiting.append(available[name])
    return dict(sorted(used.items()))


def key(
    text: str, included: Mapping[str, str], constants: Sequence[tuple[str, int | str]], arch: str
) -> str:
    """The SHA-256 of all that the machine code depends on."""
    parts = (
        FORMAT,
        cuda_compile.version(),
        cuda_compile.OPTIONS,
        arch,
        list(constants),
        list(included.items()),
        text,
    )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def read(entry: Path) -> Cubin | None:
    """What the entry holds; None if there is none, or if it is not as it was written."""
    try:
        data = entry.read_bytes()
    except OSError:
        return None
    digest, _, body = data.partition(b"\n")
    if digest.decode(errors="replace") != hashlib.sha256(body).hexdigest():
        return None
    facts, _, image = body.partition(b"\n")
    found = json.loads(facts)
    resources = {name: Resources(**values) for name, values in found["resources"].items()}
    return Cubin(image, resources, tuple(found["advice"]))


def write(entry: Path, made: Cubin) -> None:
    """Puts an entry there, whole or not at all; a folder that cannot take it is no error."""
    facts = {
        "resources": {name: dataclasses.asdict(used) for name, used in made.resources.items()},
        "advice": list(made.advice),
    }
    body = json.dumps(facts).encode() + b"\n" + made.image
    unfinished = ""
    try:
        with tempfile.NamedTemporaryFile(
            dir=entry.parent, prefix=".writing-", delete=False
        ) as file:
            unfinished = file.name
            file.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        os.replace(unfinished, entry)
    except OSError as error:
        if unfinished:
            Path(unfinished).unlink(missing_ok=True)
        _say_not_kept(error.strerror or str(error))


@functools.cache
def _say_not_kept(why: str) -> None:
    warnings.warn(
        f"compiled CUDA kernels are not kept: {why} (DLCLI_CACHE names another folder)",
        RuntimeWarning,
        stacklevel=4,
    )
