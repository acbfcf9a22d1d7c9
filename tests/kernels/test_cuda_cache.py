"""Cubins on disk: found again, made again when spoilt, shared by processes, missed without harm."""

import errno
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import pytest
from dlcli_kernels import cuda_cache, cuda_compile
from dlcli_kernels.cuda import PROBE

pytestmark = [
    pytest.mark.nvrtc,
    pytest.mark.skipif(bool(cuda_compile.problem()), reason=cuda_compile.problem()),
]
ROOTS = [str(Path(__file__).parents[2]), str(Path(__file__).parents[2] / "kernels")]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache; the folder that entries go into."""
    monkeypatch.setenv("DLCLI_CACHE", str(tmp_path))
    cuda_cache._say_not_kept.cache_clear()
    yield tmp_path / "cubin"
    cuda_cache._say_not_kept.cache_clear()


@pytest.fixture
def compilations(monkeypatch):
    """The architecture of every compilation that happens."""
    seen, compile_really = [], cuda_compile.compile

    def counted(text, name, headers, constants, arch):
        seen.append(arch)
        return compile_really(text, name, headers, constants, arch)

    monkeypatch.setattr(cuda_compile, "compile", counted)
    return seen


def entries(folder):
    return sorted(folder.iterdir())


def test_a_source_is_compiled_once_and_found_from_then_on(folder, compilations):
    made, found = (cuda_cache.cubin(PROBE, (), "sm_90") for _ in range(2))
    assert made == found
    assert found.resources["probe"].registers > 0
    assert compilations == ["sm_90"]
    assert len(entries(folder)) == 1


def test_architectures_and_constants_have_entries_of_their_own(folder, compilations):
    cuda_cache.cubin(PROBE, (), "sm_90")
    cuda_cache.cubin(PROBE, (), "sm_80")
    cuda_cache.cubin(PROBE, (("TILE", 2),), "sm_80")
    assert len(compilations) == len(entries(folder)) == 3


def test_the_key_changes_with_all_that_machine_code_depends_on(monkeypatch):
    given = ("text", {"a.cuh": "x"}, (("TILE", 2),), "sm_90")
    keys = {cuda_cache.key(*given)}
    for i, other in enumerate(["text ", {"a.cuh": "y"}, (("TILE", 3),), "sm_90a"]):
        keys.add(cuda_cache.key(*given[:i], other, *given[i + 1 :]))
    monkeypatch.setattr(cuda_compile, "OPTIONS", ("--other",))
    keys.add(cuda_cache.key(*given))
    monkeypatch.setattr(cuda_compile, "version", lambda: (99, 0))
    keys.add(cuda_cache.key(*given))
    assert len(keys) == 7


def test_only_headers_that_are_included_count_also_through_each_other():
    headers = {"a.cuh": '#include "b.cuh"', "b.cuh": "", "c.cuh": ""}
    text = '#include <cuda_bf16.h>\n  # include "a.cuh"\n// "c.cuh"\n'
    assert cuda_cache.used_headers(text, headers) == {"a.cuh": headers["a.cuh"], "b.cuh": ""}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: data + b"\0",
        lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:],
        lambda data: b"\xff" + data[1:],
        lambda data: data[-4096:],
    ],
    ids=["empty", "one byte short", "half", "one byte long", "a bit", "no text", "the tail"],
)
def test_a_spoilt_entry_is_compiled_anew_and_replaced(folder, compilations, spoil):
    made = cuda_cache.cubin(PROBE, (), "sm_90")
    (entry,) = entries(folder)
    whole = entry.read_bytes()
    entry.write_bytes(spoil(whole))
    assert cuda_cache.cubin(PROBE, (), "sm_90") == made
    assert len(compilations) == 2
    assert entry.read_bytes() == whole
    assert entries(folder) == [entry]


WORKER = f"""
import sys
sys.path[:0] = {ROOTS!r}
from dlcli_kernels import cuda_cache
from dlcli_kernels.cuda import PROBE
print("ready", flush=True)
sys.stdin.readline()
for arch in ("sm_80", "sm_90", "sm_100") * 3:
    print(cuda_cache.cubin(PROBE, (), arch).resources["probe"].registers > 0)
"""


def test_processes_that_compile_the_same_at_once_all_succeed(folder, compilations):
    workers = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:  # all are past their imports: off together
        worker.stdin.write("go\n")
        worker.stdin.flush()
    said = [worker.communicate(timeout=60)[0] for worker in workers]
    assert said == ["True\n" * 9] * 3
    assert len(entries(folder)) == 3  # and nothing unfinished beside them
    cuda_cache.cubin(PROBE, (), "sm_100")
    assert compilations == []  # what they left is whole


def test_a_cache_that_cannot_be_made_is_said_once_and_does_no_harm(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("DLCLI_CACHE", str(tmp_path / "file"))
    cuda_cache._say_not_kept.cache_clear()
    with pytest.warns(RuntimeWarning, match="not kept: the cache folder cannot be written"):
        first = cuda_cache.cubin(PROBE, (), "sm_90")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cuda_cache.cubin(PROBE, (), "sm_90") == first
    cuda_cache._say_not_kept.cache_clear()


def test_a_folder_that_became_read_only_does_no_harm(folder, monkeypatch):
    def read_only(*args, **kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", read_only)
    with pytest.warns(RuntimeWarning, match="not kept: Read-only file system"):
        assert "probe" in cuda_cache.cubin(PROBE, (), "sm_90").resources
    assert entries(folder) == []


FULL = f"""
import resource, sys, warnings
sys.path[:0] = {ROOTS!r}
from dlcli_kernels import cuda_cache
from dlcli_kernels.cuda import PROBE
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    cubin = cuda_cache.cubin(PROBE, (), "sm_90")
print(len(cubin.image) > 4096, [str(w.message) for w in said])
"""


def test_a_full_disk_leaves_nothing_unfinished(folder):
    """Files of this process may grow to 4 KiB, an entry is larger."""
    done = subprocess.run(
        [sys.executable, "-c", FULL], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith("True ['compiled CUDA kernels are not kept: File too large")
    assert entries(folder) == []


def test_nothing_is_said_where_entries_are_kept(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cuda_cache.cubin(PROBE, (), "sm_90")
    assert len(entries(folder)) == 1
