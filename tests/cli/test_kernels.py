"""`dlcli kernels list`, `show` and `new`, and how the group finds its commands."""

import json

import pytest

from dlcli.cli import kernel_files, kernel_records, lazy
from dlcli.cli.kernel_records import Record


@pytest.fixture(autouse=True)
def records(tmp_path, monkeypatch):
    """No earlier verification is on record."""
    monkeypatch.setenv("DLCLI_CACHE", str(tmp_path / "cache"))


def rows(dlcli, *arguments):
    return dlcli("kernels", "list", *arguments, "--json").json


def test_a_file_named_after_the_group_is_its_command_and_none_of_dlcli(dlcli):
    assert {"list", "verify", "show", "new"} <= set(lazy.commands("kernels"))
    assert not any(name.startswith("kernels_") for name in lazy.commands())
    helped = dlcli("kernels", "--help")
    assert helped.code == 0
    for name, short in lazy.commands("kernels").items():
        assert f"  {name} " in helped.out
        assert short.split()[0] in helped.out


def test_a_mistyped_name_is_answered_with_the_one_that_was_meant(fails):
    assert "did you mean 'verify'?" in fails(2, "kernels", "verfy")
    assert "did you mean 'matmul'?" in fails(2, "kernels", "list", "matmull")
    assert "did you mean 'cpu'?" in fails(2, "kernels", "list", "--device", "cpuu")
    assert "did you mean '--format'?" in fails(2, "kernels", "list", "--fromat", "md")
    assert "did you mean 'cpu_blas'?" in fails(2, "kernels", "show", "matmul/cpu_bls")
    assert "did you mean 'cuda_raw'?" in fails(2, "kernels", "new", "act", "x.cu", "--tier", "cuda")


# --- list -----------------------------------------------------------------------------------------


def test_each_op_variant_and_precision_is_listed_with_its_rank(dlcli):
    found = {(row["variant"], row["precision"]): row for row in rows(dlcli, "matmul")}
    blas = found["cpu_blas", "float32"]
    assert (blas["available"], blas["preferred"], blas["verified"]) == (True, 1, None)
    raw = found["cuda_raw_naive", "float32"]
    assert raw["preferred"] is None
    assert raw["available"] or raw["why"]
    assert ("cuda_raw_naive", "float64") not in found
    assert {row["op"] for row in rows(dlcli)} > {"matmul", "conv2d", "softmax"}


def test_a_device_and_several_ops_can_be_chosen(dlcli):
    assert {row["device"] for row in rows(dlcli, "matmul", "--device", "cuda")} == {"cuda"}
    assert {row["op"] for row in rows(dlcli, "add", "mul")} == {"add", "mul"}


def test_a_list_has_the_format_that_is_asked_for(dlcli):
    def lines(form):
        return dlcli("kernels", "list", "add", "--format", form).out.splitlines()

    assert lines("csv")[0].startswith("op,variant,device,precision")
    assert lines("md")[2].startswith("| add | cpu_numba | cpu |")
    assert json.loads(lines("jsonl")[0])["op"] == "add"
    assert json.loads("".join(lines("json"))) == rows(dlcli, "add")
    assert "add" in lines("table")[2]


def verified(dlcli, op):
    return {row["precision"]: row["verified"] for row in rows(dlcli, op, "--device", "cpu")}


def test_only_what_was_verified_is_said_to_be(dlcli):
    assert set(verified(dlcli, "add").values()) == {None}
    dlcli("kernels", "verify", "add", "--precision", "float32", "--device", "cpu")
    found = verified(dlcli, "add")
    assert found["float64"] is None
    assert found["float32"]["cases"] == found["float32"]["of"] > 3
    assert found["float32"]["where"] == "cpu"


def test_a_verification_of_some_cases_says_so_and_random_ones_do_not_count(dlcli):
    dlcli("kernels", "verify", "add", "--cases", "random:4")
    assert verified(dlcli, "add")["float32"] is None
    dlcli("kernels", "verify", "add", "--cases", "2")
    assert verified(dlcli, "add")["float32"]["cases"] == 2
    assert "2 of 8 cases" in dlcli("kernels", "list", "add").out


def record(cases, failed=0):
    return Record("add", "cpu_numba", "float32", "cpu", cases, 8, failed, 0.5)


@pytest.fixture
def variant():
    from dlcli_kernels import registry

    return registry.variant(registry.op("add"), "cpu_numba")


def test_a_success_on_few_cases_replaces_neither_a_failure_nor_one_on_all(variant):
    kernel_records.keep(variant, record(8))
    kernel_records.keep(variant, record(2))
    assert kernel_records.find(variant, "float32").cases == 8
    kernel_records.keep(variant, record(7, failed=1))
    kernel_records.keep(variant, record(2))
    assert str(kernel_records.find(variant, "float32")) == "FAILED (cpu)"
    kernel_records.keep(variant, record(8))
    assert str(kernel_records.find(variant, "float32")) == "yes (cpu)"


def test_a_record_that_cannot_be_read_is_none(variant, tmp_path):
    kernel_records.keep(variant, record(8))
    (kept,) = (tmp_path / "cache" / "verified").glob("add-*.json")
    kept.write_text('{"op": "add"')
    assert kernel_records.find(variant, "float32") is None


def test_a_changed_file_is_no_longer_verified(dlcli, tmp_path):
    dlcli("kernels", "new", "add", "cpu_mine.py")
    own = ("--kernel-file", "cpu_mine.py")
    dlcli("kernels", "verify", *own)
    assert all(row["verified"] for row in rows(dlcli, *own))
    with open("cpu_mine.py", "a") as file:
        file.write("# changed\n")
    assert not any(row["verified"] for row in rows(dlcli, *own))


def test_the_hash_of_a_variant_depends_on_helpers_of_other_files(variant, monkeypatch):
    from dlcli_kernels import registry

    blas = registry.variant(registry.op("matmul"), "cpu_blas")
    family = kernel_files._package() / "matmul"
    names = {p.name for p in kernel_files._closure((family / "cpu_blas.py", family / "op.py"))}
    assert {"cpu_blas.py", "op.py", "cpu_numpy.py", "activations.py", "spec.py"} <= names
    before = kernel_files.digest(blas)
    assert before == kernel_files.digest(blas)
    assert before != kernel_files.digest(variant)
    monkeypatch.setattr(kernel_files, "CHECKER", "spec.py")
    assert before != kernel_files.digest(blas)


# --- show -----------------------------------------------------------------------------------------


def test_a_kernel_is_shown_with_all_its_files_and_no_figure_that_was_not_measured(dlcli):
    shown = dlcli("kernels", "show", "matmul/cuda_raw_naive").out
    assert '"""One thread per element of the result' in shown
    assert 'extern "C" __global__ void matmul_naive' in shown
    assert shown.splitlines()[-1] == "not measured"
    assert "verified: not on record" in shown
    found = dlcli("kernels", "show", "matmul/cuda_raw_naive", "--json").json
    assert set(found["files"]) == {"matmul/cuda_raw_naive.py", "matmul/cuda_raw_naive.cu"}
    assert found["figures"] == []


RESULT = {
    "kind": "dlcli kernels bench",
    "machine": {"name": "a machine"},
    "rows": [
        {
            "op": "add",
            "variant": variant,
            "case": "x=3",
            "precision": "float32",
            "cold_us": 12.34,
            "warm_us": 1234.5,
            "gflops": 0.0,
            "gbytes_per_s": 0.5,
            "roofline": 0.25,
            "bound": "memory",
            "vendor": None,
            "reason": "",
            "kernels": [],
        }
        for variant in ("cpu_numba", "cpu_other")
    ],
}


def test_measured_figures_are_shown_from_a_file_or_the_folder_of_results(dlcli, tmp_path):
    file = tmp_path / "bench" / "results" / "here.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(RESULT))
    (file.parent / "models.json").write_text('{"rows": []}')  # other results are none of ours
    for more in ((), ("--results", file)):
        shown = dlcli("kernels", "show", "add/cpu_numba", *more).out.splitlines()[-1]
        assert shown.split("  ")[0] == "x=3"
        for figure in ("12.3", "1,234", "25% memory", "a machine", "here.json"):
            assert figure in shown
    found = dlcli("kernels", "show", "add/cpu_numba", "--json").json["figures"]
    assert [row["cold_us"] for row in found] == [12.34]


def test_a_file_that_holds_no_results_is_an_error_where_it_is_named(fails, tmp_path):
    for text in ("{", "[]", '{"kind": "other"}', json.dumps({**RESULT, "machine": None})):
        (tmp_path / "x.json").write_text(text)
        said = fails(3, "kernels", "show", "add/cpu_numba", "--results", "x.json")
        assert "no result of `dlcli kernels bench`" in said


def test_show_needs_one_kernel(fails, dlcli):
    assert "matmul/cpu_blas" in fails(2, "kernels", "show", "matmul")
    assert "one kernel is needed" in fails(2, "kernels", "show")
    dlcli("kernels", "new", "add", "cpu_mine.py")
    assert "--- cpu_mine.py" in dlcli("kernels", "show", "--kernel-file", "cpu_mine.py").out


# --- new ------------------------------------------------------------------------------------------


def test_a_new_kernel_is_listed_like_ours_and_nothing_is_overwritten(dlcli, fails):
    written = dlcli("kernels", "new", "matmul", "my_matmul.cu")
    assert written.out.splitlines()[0] == "wrote my_matmul.cu and my_matmul.toml"
    assert "dlcli kernels verify --kernel-file my_matmul.cu --emulate" in written.out
    (row,) = rows(dlcli, "--kernel-file", "my_matmul.cu")
    assert (row["op"], row["variant"], row["device"]) == ("matmul", "my_matmul", "cuda")
    names = [r["variant"] for r in rows(dlcli, "matmul", "--kernel-file", "my_matmul.cu")]
    assert {"cpu_blas", "my_matmul"} <= set(names)
    assert "my_matmul" not in [r["variant"] for r in rows(dlcli, "matmul")]
    assert "my_matmul.cu is there already" in fails(2, "kernels", "new", "act", "my_matmul.cu")
    assert "is there already" in fails(2, "kernels", "new", "act", "my_matmul.cu")


@pytest.mark.parametrize("op", ["softmax", "adam_step", "dropout", "maxpool2d", "lstm_cell"])
def test_an_op_without_a_template_of_its_own_gets_one_that_works(dlcli, op):
    assert dlcli("kernels", "new", op, "mine.py").code == 0
    done = dlcli("kernels", "verify", "--kernel-file", "mine.py", "--cases", "4", "--seed", "1")
    assert done.code == 0, done.err


def test_what_cannot_be_begun_is_refused(fails, dlcli):
    assert "there is one for act, conv2d" in fails(2, "kernels", "new", "softmax", "mine.cu")
    assert "ends in .py or .cu" in fails(2, "kernels", "new", "add", "mine.txt")
    assert "ends in .cu" in fails(2, "kernels", "new", "act", "x.py", "--tier", "cuda_raw")
    assert "letters, digits" in fails(2, "kernels", "new", "add", "my-add.py")
    found = dlcli("kernels", "new", "act", "sub/x.py", "--tier", "cuda_numba", "--json").json
    assert (found["tier"], found["files"]) == ("cuda_numba", ["sub/x.py"])
