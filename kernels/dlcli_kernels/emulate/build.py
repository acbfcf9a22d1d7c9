"""Compiles the emulator's runtime and CUDA C++ kernels with g++ into shared libraries, cached on disk.

A kernel's source is taken as it is, but for three things that g++ reads otherwise: `#pragma unroll`,
`extern __shared__` and the #line that names the file in messages. What -fsanitize=thread inserts
before each access ends in the runtime (memory.cpp), not in a library of the compiler's.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .. import cache
from ..raw import Kernel, headers

HERE = Path(__file__).parent
RUNTIME = ("runtime.h", "scheduler.h", "runtime.cpp", "fibre.cpp", "memory.cpp")
COMMON = ("-std=gnu++17", "-O2", "-g1", "-gdwarf-4", "-fPIC", "-w")
CHECKS = (
    "-fsanitize=thread",  # calls before each access to memory, and nothing else of it:
    "--param=tsan-instrument-func-entry-exit=0",
    "-fsanitize=bounds-strict,alignment,integer-divide-by-zero",
    "-fno-optimize-sibling-calls",  # a call's return address tells the line
    "-fvisibility=hidden",
    "-fno-gnu-unique",  # two libraries never share a variable
    "-DDLCLI_EMULATE=1",
)
ENTRY = re.compile(  # a kernel that is no template
    r"(?<!>)\s__global__\s+void\s+(?:__\w+__\s*\([^)]*\)\s*)*(\w+)\s*\("
)
UNROLL = re.compile(r"#pragma[ \t]+unroll(?:[ \t]*\(?[ \t]*(\w+)[ \t]*\)?)?")
DYNAMIC = re.compile(
    r"extern\s+__shared__\s+(?:__align__\(\s*\d+\s*\)\s+)?([\w:]+(?:\s+\w+)?)\s+(\w+)\s*\[\s*\]\s*;"
)


# The linker's names for the ends of what a library holds. All that a kernel's file defines and does
# not initialise is shared memory.
BOUNDS = {
    "shared_begin": "__bss_start",
    "shared_end": "_end",
    "image_begin": "__ehdr_start",
    "image_end": "_end",
}


class CompilerMissing(RuntimeError):
    """There is no g++ that can build for the emulator."""


class CompileError(RuntimeError):
    """g++ refused a kernel; the message begins with file and line."""


def problem() -> str:
    """Why nothing can be emulated here, in one line; empty where it can."""
    if not sys.platform.startswith("linux"):
        return "the emulator needs Linux"
    if not compiler():
        return "g++ is not installed (Debian, Ubuntu: apt install g++)"
    return ""


def compiler() -> str:
    """The path of g++ ($CXX if it is one), or nothing."""
    chosen = os.environ.get("CXX", "")
    return shutil.which(chosen if "g++" in chosen else "g++") or ""


@functools.cache
def _compiler_version() -> str:
    why = problem()
    if why:
        raise CompilerMissing(why)
    return subprocess.run(
        [compiler(), "-dumpfullversion", "-dumpmachine"], capture_output=True, text=True, check=True
    ).stdout


def _text(names: tuple[str, ...]) -> str:
    return "".join((HERE / name).read_text(encoding="utf-8") for name in names)


def _build(stem: str, commands: list[list[str]], files: dict[str, str], included: str) -> Path:
    """The library `stem-….so` in the cache, made by `commands` in a folder that holds `files`.

    included: what the files include from elsewhere. Processes that build the same at once each
    rename a whole file into place.
    """
    parts = (_compiler_version(), repr(commands), repr(sorted(files.items())), included)
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    folder = cache.folder_or_temporary("emulate")
    library = folder / f"{stem}-{key}.so"
    if library.is_file():
        return library
    with tempfile.TemporaryDirectory(dir=folder, prefix=".building-") as work:
        for name, text in files.items():
            Path(work, name).parent.mkdir(exist_ok=True)
            Path(work, name).write_text(text, encoding="utf-8")
        for command in commands:
            done = subprocess.run(
                [compiler(), *command],
                cwd=work,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise CompileError(_first_errors(done.stderr))
        os.replace(Path(work, "out.so"), library)
    return library


def _first_errors(log: str) -> str:
    lines = [line for line in log.splitlines() if " error: " in line or "fatal error" in line]
    return "\n".join(lines[:3]) or log.strip()[:400]


@functools.cache
def runtime() -> ctypes.CDLL:
    """The runtime, loaded so that kernels find its functions."""
    sources = [str(HERE / name) for name in RUNTIME if name.endswith(".cpp")]
    command = [*COMMON, "-fno-exceptions", "-shared", *sources, "-o", "out.so"]
    library = _build("runtime", [command], {}, _text(RUNTIME))
    return ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)


def preprocess(text: str) -> str:
    """The source as g++ can take it, line by line where it was."""
    text = UNROLL.sub(lambda m: f"#pragma GCC unroll {m[1] or 64}", text)
    return DYNAMIC.sub(r"\1* const \2 = static_cast<\1*>(dlcli_dynamic_shared());", text)


def _unit(text: str, name: str) -> str:
    """The unit that is compiled: the emulator's words, the kernel's file, the list of its kernels."""
    entries = ", ".join(f"DLCLI_ENTRY({kernel})" for kernel in ENTRY.findall(text))
    return (
        f'#include "emulate.h"\n#include "{name}"\n'
        f"SHOWN const dlcli::Entry dlcli_entries[] = {{ {entries}{', ' if entries else ''}{{}} }};\n"
    ) + "".join(
        f'extern "C" unsigned char {symbol}[];\n'
        f"SHOWN unsigned char* const dlcli_{end} = {symbol};\n"
        for end, symbol in BOUNDS.items()
    )


def library(kernel: Kernel) -> Path:
    """The library that holds all kernels of the kernel's source, compiled with its constants."""
    runtime()
    text, name = kernel.source.text(), kernel.source.name
    defines = [f"-D{key}={value}" for key, value in kernel.constants]
    own = {path.name: path.read_text(encoding="utf-8") for path in (HERE / "include").iterdir()}
    files = {**headers(), "unit.cpp": _unit(text, name), name: preprocess(text)}
    compile_it = [*COMMON, *defines, *CHECKS, "-I.", "-I", str(HERE / "include")]
    commands = [
        [*compile_it, "-c", "unit.cpp", "-o", "kernel.o"],
        ["-shared", "-nostartfiles", "-Wl,-Bsymbolic", "kernel.o", "-o", "out.so", "-lm"],
    ]
    stem = re.sub(r"\W", "-", name.removesuffix(".cu"))
    return _build(stem, commands, files, repr(sorted(own.items())))
