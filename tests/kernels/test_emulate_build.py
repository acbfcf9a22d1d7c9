"""How the emulator compiles and keeps kernels: whole, by any process, or with a word of why not."""

import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dlcli_kernels import cache, emulate, raw
from dlcli_kernels.emulate import Emulator, build
from dlcli_kernels.raw import Source, running_on

pytestmark = [
    pytest.mark.emulator,
    pytest.mark.skipif(bool(emulate.problem()), reason=emulate.problem() or "-"),
]
TEXT = """
extern "C" __global__ void fill(int* y) { y[threadIdx.x] = VALUE; }
"""
PROGRAM = """
import sys, numpy as np
sys.path.insert(0, {kernels!r})
from dlcli_kernels.emulate import Emulator
from dlcli_kernels.raw import Source, running_on
y = np.zeros(4, np.int32)
with running_on(Emulator()):
    Source("a.b", "fill.cu", folder={folder!r}).kernel("fill", VALUE=7)(1, 4, y)
print(y.tolist())
"""


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """A cache of this test alone, whose runtime is the one that is loaded."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("DLCLI_CACHE", str(folder))
    return folder / "emulate"


def fill(folder, value):
    (folder / "fill.cu").write_text(TEXT)
    y = np.zeros(4, np.int32)
    with running_on(Emulator()):
        Source("a.b", "fill.cu", folder=str(folder)).kernel("fill", VALUE=value)(1, 4, y)
    return y.tolist()


def program(folder):
    kernels = str(Path(raw.__file__).parents[1])
    return [sys.executable, "-c", PROGRAM.format(kernels=kernels, folder=str(folder))]


def test_processes_that_build_one_kernel_at_once_all_have_it(tmp_path, own_cache):
    (tmp_path / "fill.cu").write_text(TEXT)
    started = [
        subprocess.Popen(program(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for process in started:
        out, err = process.communicate(timeout=120)
        assert out == b"[7, 7, 7, 7]\n", err.decode()
    assert sorted(path.name.split("-")[0] for path in own_cache.iterdir()) == [
        "fill",
        "runtime",
        "words",
    ]


def test_a_library_that_was_cut_short_is_built_anew(tmp_path, own_cache):
    assert fill(tmp_path, 3) == [3] * 4
    (library,) = own_cache.glob("fill-*.so")
    whole = library.read_bytes()
    cut = own_cache / "cut"
    cut.write_bytes(whole[: len(whole) // 2])
    cut.replace(library)
    build.library(Source("a.b", "fill.cu", folder=str(tmp_path)).kernel("fill", VALUE=3))
    assert len(library.read_bytes()) == len(whole)


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "folder", lambda name: None)
    assert fill(tmp_path, 5) == [5] * 4


def test_the_name_of_a_library_tells_all_that_is_compiled_into_it(tmp_path, own_cache, monkeypatch):
    (tmp_path / "fill.cu").write_text(TEXT)
    kernel = Source("a.b", "fill.cu", folder=str(tmp_path)).kernel("fill", VALUE=1)
    first = build.library(kernel)
    words = dict(build._words())
    monkeypatch.setattr(build, "_words", lambda: words)
    words["runtime.h"] += "// another line\n"
    assert build.library(kernel) != first


def test_a_machine_with_no_compiler_is_told_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert emulate.problem() == "g++ is not installed (Debian, Ubuntu: apt install g++)"
    with pytest.raises(emulate.CompilerMissing, match="apt install"):
        fill(tmp_path, 11)


def test_a_compiler_that_only_calls_itself_gnu_is_named(tmp_path, monkeypatch):
    pretender = tmp_path / "g++"
    pretender.write_text("#!/bin/sh\necho 'clang: error: unknown argument' >&2\nexit 1\n")
    pretender.chmod(pretender.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert "is not GNU's, or older than 11" in emulate.problem()
