"""Ops and variants are found by their files, and the first preferred variant that can, runs."""

import importlib
from pathlib import Path
from types import SimpleNamespace

import dlcli_kernels
import numpy as np
import pytest
from dlcli_kernels import registry
from dlcli_kernels.registry import NoVariant, Reference, Variant
from dlcli_kernels.spec import Op, Spec

FLOAT32 = np.dtype(np.float32)
FOLDERS = [p.parent for p in Path(dlcli_kernels.__file__).parent.glob("*/op.py")]
MATRIX = Spec((4, 4), FLOAT32)


def test_every_folder_with_a_contract_is_a_family_with_ops():
    families = {op.family for op in registry.ops().values()}
    assert families == {folder.name for folder in FOLDERS}
    assert registry.op("matmul").family == "matmul"


def test_an_unknown_op_is_a_key_error():
    with pytest.raises(KeyError, match="matmull"):
        registry.op("matmull")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_every_variant_file_implements_an_op_of_its_family(folder):
    ops = [op for op in registry.ops().values() if op.family == folder.name]
    for name in registry.variant_files(folder.name):
        module, missing = registry.load(folder.name, name)
        helps = module is not None and any(
            name in Path(other).read_text() for other in folder.glob("cpu_*.py")
        )
        assert missing or any(hasattr(module, op.name) for op in ops) or helps, name


@pytest.mark.parametrize("op", registry.ops().values(), ids=lambda op: op.name)
def test_preferred_variants_exist_and_implement_the_op(op):
    for (device, precision), names in op.prefer.items():
        assert precision in op.tolerance or not np.issubdtype(precision, np.floating)
        for name in names:
            found = registry.variant(op, name)
            assert found.device == device
            assert found.missing or callable(found.run)


@pytest.mark.parametrize("op", registry.ops().values(), ids=lambda op: op.name)
def test_names_of_operands_agree_throughout_a_contract(op):
    assert set(op.inout) <= set(op.inputs)
    assert op.precision_of in op.inputs
    for case in (*op.cases, *op.bench):
        assert set(case.args) <= set(op.inputs), case.label()
        assert set(case.attrs) <= set(op.attrs), case.label()


def test_variants_are_listed_by_device_and_the_reference_stands_apart():
    op = registry.op("matmul")
    assert "cpu_blas" in [v.name for v in registry.variants(op)]
    assert {v.device for v in registry.variants(op, "cpu")} == {"cpu"}
    assert isinstance(registry.variant(op, "reference"), Reference)


def test_a_file_that_does_not_implement_an_op_is_no_variant_of_it():
    stranger = Op("stranger", lambda x: {"out": x}, None)
    stranger.family = "elementwise"
    with pytest.raises(KeyError, match="does not implement stranger"):
        registry.variant(stranger, "cpu_numpy")


def planted(monkeypatch, prefer, **modules):
    """An op `planted` whose variants are the modules given."""
    op = Op("planted", lambda x: {"out": x}, lambda x: x + 1, prefer=prefer)

    def load(family, name):
        found = modules[name]
        return (None, found) if isinstance(found, str) else (found, "")

    monkeypatch.setattr(registry, "load", load)
    monkeypatch.setattr(registry, "variant_files", lambda family: tuple(modules))
    return op


def module(supports=True):
    return SimpleNamespace(planted=lambda out, x: None, supports=lambda op, *ins: supports)


def test_the_first_preferred_variant_that_supports_the_operands_runs(monkeypatch):
    order = ("cpu_refuses", "cpu_lacks", "cpu_takes", "cpu_also")
    op = planted(
        monkeypatch,
        {("cpu", "float32"): order},
        cpu_refuses=module(False),
        cpu_lacks="numba is not installed",
        cpu_takes=module(),
        cpu_also=module(),
    )
    assert registry.resolve(op, "cpu", [MATRIX], {}).name == "cpu_takes"


def test_on_the_cpu_the_reference_is_the_last_resort(monkeypatch):
    op = planted(monkeypatch, {("cpu", "float32"): ("cpu_refuses",)}, cpu_refuses=module(False))
    found = registry.resolve(op, "cpu", [MATRIX], {})
    out = np.empty((4, 4), np.float32)
    found.run(out, np.ones((4, 4), np.float32))
    assert found.name == "cpu_reference"
    assert (out == 2).all()


def test_a_device_without_a_variant_is_an_error_that_names_the_op(monkeypatch):
    op = planted(monkeypatch, {}, cuda_other=module())
    with pytest.raises(NoVariant, match=r"no cuda kernel for planted \(x: \(4, 4\) float32\)"):
        registry.resolve(op, "cuda", [MATRIX], {})


def test_a_variant_that_no_list_prefers_is_listed_but_never_runs_by_itself(monkeypatch):
    op = planted(monkeypatch, {}, cpu_new=module())
    assert [v.name for v in registry.variants(op)] == ["cpu_new"]
    assert registry.resolve(op, "cpu", [MATRIX], {}).name == "cpu_reference"


def test_precision_decides_between_lists(monkeypatch):
    prefer = {("cpu", "float32"): ("cpu_single",), ("cpu", "float64"): ("cpu_double",)}
    op = planted(monkeypatch, prefer, cpu_single=module(), cpu_double=module())
    for dtype, name in (("float32", "cpu_single"), ("float64", "cpu_double")):
        assert registry.resolve(op, "cpu", [Spec((2,), np.dtype(dtype))], {}).name == name


def fail_import(monkeypatch, error):
    def import_module(name):
        raise error

    monkeypatch.setattr(importlib, "import_module", import_module)
    registry.load.cache_clear()


def test_a_missing_library_makes_a_variant_unavailable_and_says_which(monkeypatch):
    fail_import(monkeypatch, ModuleNotFoundError("No module named 'cupy.cuda'", name="cupy.cuda"))
    try:
        assert registry.load("matmul", "cuda_any") == (None, "cupy is not installed")
    finally:
        registry.load.cache_clear()


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'dlcli_kernels.typo'", name="dlcli_kernels.typo"),
        ImportError("cannot import name 'epilog' from 'dlcli_kernels.elementwise.cpu_numpy'"),
    ],
)
def test_an_import_error_of_our_own_is_not_hidden(monkeypatch, error):
    fail_import(monkeypatch, error)
    try:
        with pytest.raises(ImportError, match=r"dlcli_kernels"):
            registry.load("matmul", "cpu_any")
    finally:
        registry.load.cache_clear()


def test_an_unavailable_variant_supports_nothing():
    missing = Variant(registry.op("add"), "cuda_any", None, "cupy is not installed")
    assert not missing.supports([MATRIX, MATRIX], {})
