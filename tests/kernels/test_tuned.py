"""Tuned configurations: kept per device, found again, ignored when damaged; each one verified."""

import json
import threading

import numpy as np
import pytest
from dlcli_kernels import tuned
from dlcli_kernels.bench_tune import Trial, best_of, configurations, tune_case
from dlcli_kernels.timing import Ratio, Sample

from tests.kernels.bench_small import ADD, QUICK, shape_of, small_host, variant_of

DEFAULT = {"tile": 8}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DLCLI_CACHE", str(tmp_path))
    tuned.forget()
    yield
    tuned.forget()


def choose(**key):
    return tuned.choose("add", "cpu_mine", DEFAULT, **key)


def test_without_a_choice_the_default_runs():
    assert choose() == DEFAULT
    assert choose() is not DEFAULT


def test_a_choice_that_is_kept_is_found_by_this_process_and_the_next():
    path = tuned.keep("add", "cpu_mine", {"tile": 32})
    assert choose() == {"tile": 32}
    tuned.forget()
    assert choose() == {"tile": 32}
    assert json.loads(path.read_text()) == {"add/cpu_mine": {"tile": 32}}
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_choice_for_a_key_goes_before_the_one_for_all():
    tuned.keep("add", "cpu_mine", {"tile": 32})
    tuned.keep("add", "cpu_mine", {"tile": 64}, n=4, m=2)
    assert choose(m=2, n=4) == {"tile": 64}
    assert choose(m=2, n=5) == choose() == {"tile": 32}
    assert tuned.kept("cpu_mine").keys() == {"add/cpu_mine", "add/cpu_mine[m=2,n=4]"}


def test_a_choice_that_the_variant_does_not_know_is_ignored():
    tuned.keep("add", "cpu_mine", {"side": 32})
    assert choose() == DEFAULT


@pytest.mark.parametrize("text", ["", "[1]", '{"add/cpu_mine": 3}'])
def test_a_damaged_file_holds_nothing_and_is_replaced(text):
    path = tuned.keep("add", "cpu_mine", {"tile": 32})
    path.write_text(text)
    tuned.forget()
    assert choose() == DEFAULT
    tuned.keep("add", "cpu_mine", {"tile": 64})
    tuned.forget()
    assert choose() == {"tile": 64}


def test_a_cache_that_cannot_be_written_is_no_error_until_something_shall_be_kept(
    tmp_path, monkeypatch
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DLCLI_CACHE", str(tmp_path / "file"))
    tuned.forget()
    assert choose() == DEFAULT
    with pytest.raises(OSError, match="DLCLI_CACHE"):
        tuned.keep("add", "cpu_mine", {"tile": 32})


def test_what_is_being_tried_holds_on_every_thread_and_ends():
    seen = []
    with tuned.trying("add", "cpu_mine", {"tile": 1}):
        thread = threading.Thread(target=lambda: seen.append(choose()))
        thread.start()
        thread.join()
        with tuned.trying("add", "cpu_mine", {"tile": 2}):
            seen.append(choose())
        seen.append(choose())
    assert [config["tile"] for config in seen] == [1, 2, 1]
    assert choose() == DEFAULT


# --- tuning ---------------------------------------------------------------------------------------

TUNE = {"add": [{"tile": 8}, {"tile": 0}, {"tile": 100}]}


def in_tiles(out, x, y):
    """A tile of 0 leaves the output unwritten."""
    tile = tuned.choose("add", "cpu_mine", TUNE["add"][0])["tile"]
    for i in range(0, out.size if tile else 0, tile or 1):
        np.add(x[i : i + tile], y[i : i + tile], out=out[i : i + tile])


def test_every_configuration_is_verified_and_the_right_ones_are_timed():
    host = small_host()
    variant = variant_of(ADD, in_tiles, TUNE=TUNE)
    assert configurations(variant) == TUNE["add"]
    trials = tune_case(host, ADD, shape_of(ADD, "N=400"), "float32", variant, QUICK)
    host.close()
    default, broken, large = trials
    assert default.ratio == Ratio(1.0, 1.0, 1.0)
    assert broken.reason.startswith("wrong: out")
    assert broken.warm is None
    assert large.warm.times.size == 2
    assert choose() == DEFAULT


def test_a_variant_that_declares_nothing_has_no_configurations():
    assert configurations(variant_of(ADD, in_tiles)) == []


def trial(value, low, high, reason=""):
    sample = None if reason else Sample(np.array([value]))
    return Trial({"tile": value}, reason, sample, None if reason else Ratio(value, low, high))


ONE = trial(1.0, 1.0, 1.0)


def test_the_fastest_is_kept_if_it_is_faster_beyond_chance():
    assert best_of([[ONE, trial(0.9, 0.85, 0.95), trial(0.8, 0.7, 0.9)]]) == 2
    assert best_of([[ONE, trial(0.9, 0.7, 1.1)]]) == 0


def test_one_that_is_slower_beyond_chance_on_some_shape_is_not_kept():
    fast, slow, even = trial(0.5, 0.4, 0.6), trial(1.2, 1.1, 1.3), trial(1.01, 0.9, 1.1)
    assert best_of([[ONE, fast], [ONE, slow]]) == 0
    assert best_of([[ONE, fast], [ONE, even]]) == 1


def test_a_wrong_configuration_is_never_kept():
    wrong = trial(0.1, 0.1, 0.1, reason="wrong")
    assert best_of([[ONE, wrong], [ONE, trial(0.5, 0.4, 0.6)]]) == 0
    assert best_of([[wrong, trial(2.0, 1.0, 3.0), trial(1.5, 1.0, 2.0)]]) == 2
    assert best_of([[wrong, wrong]]) is None
