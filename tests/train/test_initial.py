"""Weights of another run: what fits is taken, what does not is named; what is frozen stays."""

from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcli import optim
from dlcli.data.loader import Batch
from dlcli.engine import tape
from dlcli.errors import CheckpointError, UsageError
from dlcli.models import gan
from dlcli.train import initial, tensors
from dlcli.train.loop import Interrupted
from dlcli.train.run import RunDir
from dlcli.train.step import Stepper
from tests.train import small
from tests.train.outcomes import StopAt, outcome, resumed


def source(arrays, path="there"):
    return initial.Source(path, "0" * 64, arrays, {})


def same(model, other, names):
    mine, theirs = model.state_dict(), other.state_dict()
    return [np.array_equal(mine[name], theirs[name]) for name in names]


# --- what fits


def test_all_of_an_equal_model_is_taken_but_its_random_streams():
    model, other = small.Classifier(seed=0), small.Classifier(seed=1)
    report = initial.put(model, source(other.state_dict()))
    assert set(report.fitted) == set(other.state_dict()) - {"dropout.rng"}
    assert (report.unfit, report.reset, report.new, report.unused) == ([], [], [], [])
    assert all(same(model, other, report.fitted))
    assert same(model, other, ["dropout.rng"]) == [False]


def test_what_does_not_fit_is_told_with_both_shapes_and_stays_as_it_was():
    model, other, before = small.Classifier(0), small.Classifier(1), small.Classifier(0)
    arrays = other.state_dict()
    arrays["out.weight"] = np.zeros((7, 8), np.float32)
    del arrays["out.bias"]
    arrays["more"] = np.zeros(1, np.float32)
    arrays["hidden.bias"] = np.zeros(8, np.int64)
    report = initial.put(model, source(arrays))
    assert report.unfit == [
        initial.Misfit("hidden.bias", [8], [8]),
        initial.Misfit("out.weight", [3, 8], [7, 8]),
    ]
    assert (report.new, report.unused) == (["out.bias"], ["more"])
    assert all(same(model, before, ["out.weight", "out.bias", "hidden.bias"]))
    assert all(same(model, other, ["hidden.weight", "norm.weight"]))


def test_what_is_reset_is_told_and_stays_as_it_was():
    model, other, before = small.Classifier(0), small.Classifier(1), small.Classifier(0)
    report = initial.put(model, source(other.state_dict()), ["out.weight", "out.bias"])
    assert report.reset == ["out.weight", "out.bias"]
    assert all(same(model, before, report.reset))


def test_numbers_of_another_precision_are_converted():
    model, other = small.Classifier(0), small.Classifier(1)
    arrays = {"out.weight": other.state_dict()["out.weight"].astype(np.float64)}
    assert initial.put(model, source(arrays)).fitted == ["out.weight"]
    assert same(model, other, ["out.weight"]) == [True]
    arrays["out.weight"][0, 0] = 1e300
    with np.errstate(over="ignore"), pytest.raises(CheckpointError, match="too large for float32"):
        initial.put(model, source(arrays))
    assert same(model, other, ["out.weight"]) == [True]


def test_weights_of_which_nothing_fits_are_refused_with_names_and_shapes():
    model = small.Classifier()
    with pytest.raises(CheckpointError) as caught:
        initial.put(model, source({"out.weight": np.zeros((1, 1), np.float32)}))
    assert caught.value.exit_code == 4
    assert "out.weight is [1, 1], not [3, 8]" in caught.value.why
    assert "hidden.weight is not in it" in caught.value.why


# --- where they come from


def test_a_run_and_the_file_of_its_best_checkpoint_are_the_same_weights(tmp_path):
    small.trainer(tmp_path / "r", epochs=1).fit()
    run = initial.read(tmp_path / "r")
    file = initial.read(tmp_path / "r/checkpoints/best/model.safetensors")
    assert run.sha256 == file.sha256
    assert run.arrays.keys() == file.arrays.keys()
    assert (run.info["classes"], file.info) == (small.CLASSES, {})


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("weights.safetensors", b"", "damaged"),
        ("weights.safetensors", b"\xff" * 64, "damaged"),
        ("weights.pt", b"", "unsafe format"),
        ("weights.txt", b"", "not weights"),
        ("absent.safetensors", None, "not a run"),
    ],
)
def test_what_holds_no_weights_is_refused(tmp_path, name, data, said):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(CheckpointError, match=said):
        initial.read(tmp_path / name)


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(tensors.pack({"a": np.array([1, np.nan], np.float32)}))
    with pytest.raises(CheckpointError, match="NaN"):
        initial.read(path)


# --- what is frozen


NAMES = ["0.weight", "0.bias", "10.weight", "10.bias"]


@pytest.mark.parametrize(
    ("patterns", "want"),
    [
        ([], []),
        (["0.*"], ["0.weight", "0.bias"]),
        (["*.bias", "0.weight"], ["0.weight", "0.bias", "10.bias"]),
        (["[01]*"], NAMES),
    ],
)
def test_patterns_are_those_of_a_shell(patterns, want):
    assert initial.frozen(NAMES, patterns) == want


def test_a_pattern_that_matches_nothing_gets_a_suggestion():
    with pytest.raises(UsageError, match=r"'0\.wieght'") as caught:
        initial.frozen(NAMES, ["0.*", "0.wieght"])
    assert "did you mean '0.weight'?" in caught.value.why
    with pytest.raises(UsageError) as caught:
        initial.frozen(NAMES, ["head"])
    assert caught.value.why == "there is: 0.*, 10.*"


@given(st.lists(st.text(max_size=8), max_size=4))
def test_whatever_patterns_say_names_come_in_order_or_it_is_a_usage_error(patterns):
    with suppress(UsageError):
        found = initial.frozen(NAMES, patterns)
        assert found == [name for name in NAMES if name in found]
        assert bool(found) == bool(patterns)


def a_frozen(seed=0, *, patterns=("hidden.*", "norm.*")):
    model = small.Classifier(seed)
    model.freeze(initial.frozen(list(model.named_parameters()), patterns))
    return model


def test_what_is_frozen_gets_no_gradient_and_nothing_of_it_is_recorded():
    model = a_frozen()
    x = np.ones((5, 4, 4, 1), np.float32)
    model.train()
    loss, _ = model.loss(SimpleNamespace(x=x, y=np.zeros(5, np.int64)))
    # nothing of the hidden layer, of batch norm or of dropout: only the last layer and the loss
    assert [node.op.name for node in tape._tape][:1] == ["matmul"]
    assert not {"batchnorm", "dropout", "tanh"} & {node.op.name for node in tape._tape}
    tape.backward(loss)
    frozen = {k for k, t in model.named_parameters().items() if t.grad is None}
    assert frozen == {"hidden.weight", "hidden.bias", "norm.weight", "norm.bias"}


def test_training_moves_all_but_what_is_frozen_with_its_statistics(tmp_path):
    model, before = a_frozen(), small.Classifier()
    small.trainer(tmp_path / "r", model=model).fit()
    stays = [k for k in before.state_dict() if k.startswith(("hidden.", "norm."))]
    assert "norm.running_mean" in stays
    assert all(same(model, before, stays))
    assert not any(same(model, before, ["out.weight", "out.bias"]))


def test_an_average_leaves_what_is_frozen_as_it_is_to_the_last_bit(tmp_path):
    model, before = a_frozen(), small.Classifier()
    for statistic in (model.norm.running_mean, before.norm.running_mean):
        statistic.write(np.linspace(0.1, 0.3, 8, dtype=np.float32))
    kept = small.trainer(tmp_path / "r", model=model, ema=0.99)
    kept.fit()
    found, want = kept.run.load("last").tensors, before.state_dict()
    for name in ("hidden.weight", "norm.weight", "norm.running_mean", "norm.running_var"):
        np.testing.assert_array_equal(found[name], want[name])


def test_what_is_frozen_of_a_generator_gets_no_gradient_in_the_discriminator_s_move_either():
    model = gan.build(gan.Config(), (8, 8, 1), 0)
    names = [name for name in model.named_parameters() if name.startswith("generator.")][:2]
    model.freeze(names)
    stepper = Stepper(model, lambda phase: optim.make("sgd", phase.parameters))
    x = np.random.default_rng(0).uniform(-1, 1, (6, 8, 8, 1)).astype(np.float32)
    batch = Batch(x, np.zeros(6, np.int64), np.arange(6))
    model.train()
    stepper.step([batch], 0.1, 0)
    without = {name for name, t in model.named_parameters().items() if t.grad is None}
    assert without == set(names)


def test_batch_norm_goes_by_the_batch_while_any_of_its_weights_is_trained(tmp_path):
    model, before = a_frozen(patterns=["norm.bias"]), small.Classifier()
    small.trainer(tmp_path / "r", model=model).fit()
    names = ["norm.bias", "norm.weight", "norm.running_mean"]
    assert same(model, before, names) == [True, False, False]


def test_a_phase_is_frozen_as_well_and_what_is_frozen_stays_so_in_the_other_s_move(tmp_path):
    model, before = small.Pair(), small.Pair()
    model.freeze(["hidden.weight"])
    small.trainer(tmp_path / "r", model=model, monitor="val_loss").fit()
    assert same(model, before, ["hidden.weight", "hidden.bias"]) == [True, False]
    model = small.Pair()
    model.freeze(["out.weight", "out.bias"])
    with pytest.raises(UsageError, match="nothing of the phase 'output'"):
        small.trainer(tmp_path / "s", model=model, monitor="val_loss")


def test_a_run_with_frozen_parts_and_an_average_resumes_bit_for_bit(tmp_path):
    settings = {"ema": 0.9, "epochs": 2}
    small.trainer(tmp_path / "whole", model=a_frozen(), **settings).fit()
    with pytest.raises(Interrupted):
        small.trainer(tmp_path / "cut", model=a_frozen(), observer=StopAt(7), **settings).fit()
    resumed(tmp_path / "cut", model=a_frozen(seed=3), **settings).fit()
    # what is frozen comes out of the checkpoint, too
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")


def test_weights_come_out_of_a_run_with_an_average_as_the_average(tmp_path):
    trainer = small.trainer(tmp_path / "r", ema=0.9)
    trainer.fit()
    best = RunDir.open(tmp_path / "r").load("best").tensors
    model = small.Classifier(seed=9)
    initial.put(model, initial.read(tmp_path / "r"))
    np.testing.assert_array_equal(model.state_dict()["out.weight"], best["out.weight"])
