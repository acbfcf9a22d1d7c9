"""Compiles the emulator's runtime and CUDA C++ kernels with g++ into libraries, cached on disk.

A kernel's source is taken as it is, but for what unit.py changes. What -fsanitize=thread inserts
before each access ends in the runtime (access.cpp), not in a library of the compiler's.
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
from collections.abc import Callable
from pathlib import Path

from .. import cache
from ..raw import Kernel, headers
from . import unit

HERE = Path(__file__).parent
RUNTIME = (
    *("runtime.h", "scheduler.h", "runtime.cpp", "fibre.cpp", "faults.cpp"),
    *("memory.cpp", "order.cpp", "access.cpp", "hopper.cpp"),
)
COMMON = (
    *("-std=gnu++17", "-g1", "-gdwarf-4", "-fPIC", "-w"),
    *("-fno-var-tracking", "-fno-var-tracking-assignments"),  # of places only lines are asked for
)
UNSET = "-ftrivial-auto-var-init=pattern"  # a variable that nobody has set is a huge number
CHECKS = (
    "-O1",  # against -O2 half the time to compile, a quarter more to run
    "-fsanitize=thread",  # calls before each access to memory, and nothing else of it:
    "--param=tsan-instrument-func-entry-exit=0",
    "--param=tsan-distinguish-volatile=1",
    "-fsanitize=bounds-strict,alignment,integer-divide-by-zero,shift-exponent",
    UNSET,
    "-fstack-clash-protection",  # a stack that overflows meets its guard
    "-fno-finite-loops",
    *("-fno-builtin-memcpy", "-fno-builtin-memmove", "-fno-builtin-memset"),  # checked as calls
    "-fno-optimize-sibling-calls",  # a call's return address tells the line
    "-fvisibility=hidden",
    "-fno-gnu-unique",  # two libraries never share a variable
    "-DDLCLI_EMULATE=1",
)
WRAPPED = [f"-Wl,--wrap={name}" for name in ("memcpy", "memmove", "memset")]
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
    if not _version(compiler()):
        return f"{compiler()} is not GNU's, or older than 11: the emulator needs g++ 11 or later"
    return ""


def compiler() -> str:
    """The path of g++ ($CXX if it is one), or nothing."""
    chosen = os.environ.get("CXX", "")
    return shutil.which(chosen if "g++" in chosen else "g++") or ""


@functools.cache
def _version(path: str) -> tuple[str, ...]:
    """Version and machine of a g++; empty if it is none that will do."""
    asked = [path, "-dumpfullversion", "-dumpmachine"]  # clang, called g++, knows no such option
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    found = tuple(done.stdout.split())
    return found if not done.returncode and found and int(found[0].split(".")[0]) >= 11 else ()


def _build(
    stem: str,
    commands: list[list[str]],
    files: dict[str, str],
    beside: Callable[[Path], None] = lambda work: None,
) -> Path:
    """The library `stem-….so` in the cache, made by `commands` in a folder that holds `files`.

    Nothing else than `files` is compiled, so that the name tells what is in it; what `beside` puts
    there only saves time. The library ends with its digest: one that was cut short is built anew.
    Processes that build the same at once each rename a whole file into place.
    """
    parts = (*_version(compiler()), repr(commands), repr(sorted(files.items())))
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    folder = cache.folder_or_temporary("emulate")
    library = folder / f"{stem}-{key}.so"
    if _intact(library):
        return library
    with tempfile.TemporaryDirectory(dir=folder, prefix=".building-") as work:
        for name, text in files.items():
            Path(work, name).parent.mkdir(exist_ok=True)
            Path(work, name).write_text(text, encoding="utf-8")
        beside(Path(work))
        for command in commands:
            done = subprocess.run(
                [compiler(), *command],
                cwd=work,
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "LC_ALL": "C"},
            )
            if done.returncode:
                raise CompileError(_first_errors(done.stderr))
        made = Path(work, "out.so")
        with made.open("ab") as file:
            file.write(_digest(made.read_bytes()))
        os.replace(made, library)
    return library


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _intact(library: Path) -> bool:
    try:
        data = library.read_bytes()
    except FileNotFoundError:
        return False
    return data[-32:] == _digest(data[:-32])


def _first_errors(log: str) -> str:
    lines = [line for line in log.splitlines() if " error: " in line or "fatal error" in line]
    return "\n".join(lines[:3]) or log.strip()[:400]


@functools.cache
def runtime() -> ctypes.CDLL:
    """The runtime, loaded so that kernels find its functions."""
    if why := problem():
        raise CompilerMissing(why)
    files = {name: (HERE / name).read_text(encoding="utf-8") for name in RUNTIME}
    parts = (f'#include "{name}"\n' for name in RUNTIME if name.endswith(".cpp"))
    files["all.cpp"] = "".join(parts)  # at once: the compiler reads the library's headers once
    whole = ("-O2", "-fno-exceptions", "-fno-semantic-interposition", "-Wl,-Bsymbolic", "-shared")
    library = _build("runtime", [[*COMMON, *whole, "all.cpp", "-o", "out.so"]], files)
    return ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)


def _unit(text: str, file: str, name: str) -> str:
    """What is compiled: the emulator's words, the kernel's file, the list of its kernels."""
    return (
        f'#include "emulate.h"\n#include "{file}"\n'
        f"SHOWN const dlcli::Entry dlcli_entries[] = {{ {unit.entries(text, name)} }};\n"
    ) + "".join(
        f'extern "C" unsigned char {symbol}[];\n'
        f"SHOWN unsigned char* const dlcli_{end} = {symbol};\n"
        for end, symbol in BOUNDS.items()
    )


@functools.cache
def _words() -> dict[str, str]:
    """The headers that give CUDA's words."""
    paths = [*(HERE / "include").glob("*.h"), HERE / "runtime.h"]
    return {path.name: path.read_text(encoding="utf-8") for path in paths}


def _checks() -> list[str]:
    return [c for c in CHECKS if c != UNSET or int(_version(compiler())[0].split(".")[0]) >= 12]


def _put_words_beside(work: Path) -> None:
    """The words, read by the compiler once for all kernels: a third of the time to compile one.

    g++ takes them from there instead of emulate.h itself where nothing speaks against it, such as
    a constant of a kernel that has the name of something in a header of the library.
    """
    command = [*COMMON, *_checks(), "-I.", "-x", "c++-header", "emulate.h", "-o", "out.so"]
    (work / "emulate.h.gch").symlink_to(_build("words", [command], _words()).absolute())


def library(kernel: Kernel) -> Path:
    """The library that holds all kernels of the kernel's source, compiled with its constants."""
    runtime()
    if why := problem():
        raise CompilerMissing(why)
    text, name = kernel.source.text(), kernel.source.name
    if found := unit.variable_on_device(text):
        raise CompileError(f"{name}:{found[0]}: {found[1]} lies in global memory: pass an array")
    defines = [f"-D{key}={value}" for key, value in kernel.constants]
    files = _words() | {header: unit.preprocess(t) for header, t in headers().items()}
    files |= {"unit.cpp": _unit(text, name, kernel.name), name: unit.preprocess(text)}
    commands = [
        [*COMMON, *defines, *_checks(), "-I.", "-c", "unit.cpp", "-o", "kernel.o"],
        ["-shared", "-nostartfiles", "-Wl,-Bsymbolic", *WRAPPED, "kernel.o", "-o", "out.so", "-lm"],
    ]
    stem = re.sub(r"\W", "-", name.removesuffix(".cu"))
    return _build(stem, commands, files, _put_words_beside)
