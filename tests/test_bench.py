"""The gate of the benchmarks: what it calls slower, and that it reads what `models.py` writes."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

BENCH = Path(__file__).resolve().parents[1] / "bench"


def script(name):
    spec = importlib.util.spec_from_file_location(f"bench_{name}", BENCH / f"{name}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


compare = script("compare")


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ((2.0, 1.9, 2.1), (2.0, 1.9, 2.1), ""),
        ((2.0, 1.9, 2.1), (1.91, 1.8, 2.0), ""),  # 5 % are allowed
        ((2.0, 1.9, 2.1), (3.0, 2.9, 3.1), ""),
        ((2.0, 1.9, 2.1), (1.7, 1.6, 1.79), "slower"),
        ((2.0, 1.5, 2.5), (1.7, 1.6, 1.79), "uncertain"),
        ((2.0, 1.9, 2.1), (1.8, 1.5, 2.1), "uncertain"),
    ],
)
def test_a_lead_is_lost_where_both_intervals_say_so(before, now, said):
    assert compare.verdict(before, now, 5.0) == said


def results(path, **leads):
    rows = [
        {"work": work, "batch": 8, "threads": 2, "ratios": {"tuned": lead}}
        for work, lead in leads.items()
    ]
    path.write_text(json.dumps({"rows": rows}))
    return str(path)


def test_the_exit_code_is_that_of_the_worst_work(tmp_path):
    base = results(tmp_path / "base.json", cnn=[2.0, 1.9, 2.1], mlp=[1.0, 0.9, 1.1])
    same = results(tmp_path / "same.json", cnn=[2.0, 1.9, 2.1])
    slow = results(tmp_path / "slow.json", cnn=[1.0, 0.9, 1.1], mlp=[0.9, 0.8, 1.2])
    other = results(tmp_path / "other.json", lstm=[1.0, 0.9, 1.1])
    (tmp_path / "none.json").write_text("[]")
    run = CliRunner().invoke
    assert run(compare.main, [base, same]).exit_code == 0
    assert run(compare.main, [base, slow]).exit_code == 8
    assert run(compare.main, [base, other]).exit_code == 1
    assert "no results" in run(compare.main, [base, str(tmp_path / "none.json")]).output


def test_the_results_that_are_kept_can_be_compared():
    kept = str(BENCH / "results" / "models.json")
    done = CliRunner().invoke(compare.main, [kept, kept])
    assert done.exit_code == 0, done.output


def test_a_gpu_s_steps_stand_in_the_table_and_what_was_not_measured_says_so():
    table = script("gpu_table").table
    ratios = {"PyTorch called": [3.5, 3.4, 3.6], "PyTorch captured": [1.02, 0.9, 1.1]}
    row = {"milliseconds": {"dlcli": 0.1234}, "ratios": ratios}
    found = table([{"gpu": "A", "steps": {"cnn:128": row}}, {"gpu": "B"}])[-2:]
    assert [line.split(" | ")[-2:] for line in found] == [
        ["3.50 (3.40–3.60), 0.123 ms", "not measured |"],
        ["1.02 (0.90–1.10), 0.123 ms", "not measured |"],
    ]
