"""What the loop does when nothing goes wrong: learns, validates, chooses, stops, reports."""

import json

import numpy as np
import pytest

from dlcli.errors import DataError, UsageError
from dlcli.train import checkpoint, protocol
from dlcli.train.progress import Progress
from dlcli.train.recipe import DEFAULT_LR, Recipe
from tests.train import small


class Recorder(protocol.Quiet):
    """Keeps what it is told, in order."""

    def __init__(self):
        self.told = []

    def on_start(self, info):
        self.told.append(("start", info))

    def on_step(self, step, loss, lr, images):
        self.told.append(("step", (step, loss, lr, images)))

    def on_epoch(self, record):
        self.told.append(("epoch", record))

    def on_checkpoint(self, which, step):
        self.told.append((which, step))

    def on_stop(self, summary):
        self.told.append(("stop", summary))

    def of(self, kind):
        return [what for name, what in self.told if name == kind]


def test_a_small_network_learns_and_the_run_says_so(tmp_path):
    trainer = small.trainer(tmp_path / "run", epochs=30, lr=0.05)
    summary = trainer.fit()
    assert summary.stop == "epochs"
    assert not summary.already_finished
    assert (summary.steps, summary.epochs) == (180, 30)
    assert summary.best["val_accuracy"] > 0.9
    assert summary.last["loss"] < 0.5 * trainer.run.metrics()[0]["loss"]
    assert summary.images_per_second > 0
    status = trainer.run.status()
    assert (status["state"], status["stop"], status["step"]) == ("finished", "epochs", 180)
    assert status["best"] == summary.best


def test_the_observer_is_told_of_every_step_epoch_and_checkpoint(tmp_path):
    seen = Recorder()
    trainer = small.trainer(tmp_path / "run", observer=seen, epochs=2, checkpoint_every=4)
    trainer.fit()
    (info,) = seen.of("start")
    assert (info["steps_per_epoch"], info["total_steps"]) == (6, 12)
    assert (info["train_images"], info["val_images"]) == (43, 20)
    steps = seen.of("step")
    assert [s[0] for s in steps] == list(range(1, 13))
    assert [s[3] for s in steps] == [8, 8, 8, 8, 8, 3] * 2
    assert steps[0][2] == pytest.approx(0.005)  # the first of two steps of warm-up
    assert seen.of("last") == [0, 4, 6, 8, 12]
    assert [r["epoch"] for r in seen.of("epoch")] == [1, 2]
    assert seen.told[-1][0] == "stop"


def test_training_figures_are_means_over_the_images_of_the_epoch(tmp_path):
    seen = Recorder()
    trainer = small.trainer(tmp_path / "run", observer=seen, epochs=1)
    trainer.fit()
    steps = seen.of("step")
    (record,) = trainer.run.metrics()
    want = sum(loss * images for _, loss, _, images in steps) / 43
    assert record["loss"] == pytest.approx(want, rel=1e-12)
    assert 0 <= record["accuracy"] * 43 == pytest.approx(round(record["accuracy"] * 43))
    assert set(record) == {
        *("epoch", "step", "lr", "loss", "accuracy", "val_loss", "val_accuracy", "timing"),
    }


def test_the_best_checkpoint_is_that_of_the_best_validation_record(tmp_path):
    trainer = small.trainer(tmp_path / "run", epochs=12, lr=0.05, monitor="val_loss")
    summary = trainer.fit()
    records = trainer.run.metrics()
    assert summary.best == min(records, key=lambda r: r["val_loss"])
    best, last = trainer.run.load("best"), trainer.run.load("last")
    assert best.state["step"] == summary.best["step"]
    assert last.state["step"] == 72
    model = small.Classifier()
    checkpoint.restore(model, last)
    for name, array in trainer.model.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[name], array)
    assert best.model_info["classes"] == small.CLASSES
    assert best.model_info["input_shape"] == [4, 4, 1]
    assert best.model_info["name"] == "small"


@pytest.mark.parametrize(
    ("changes", "stop", "steps"),
    [
        ({"max_steps": 8}, "max_steps", 8),
        ({"max_steps": 12}, "max_steps", 12),
        ({"max_time": 1e-6}, "max_time", 1),
        ({"until": {"val_loss": 1e9}}, "until", 6),
        ({"until": {"loss": 1e-9, "val_accuracy": 0.0}}, "until", 6),
        ({"lr": 0.0, "patience": 2, "monitor": "val_loss", "epochs": 9}, "patience", 18),
    ],
)
def test_training_stops_for_the_first_reason_there_is(tmp_path, changes, stop, steps):
    if "patience" in changes:
        model = small.Classifier()
        model.norm.momentum = 0.0  # so that nothing at all changes
    else:
        model = None
    trainer = small.trainer(tmp_path / "run", model=model, **changes)
    summary = trainer.fit()
    assert (summary.stop, summary.steps) == (stop, steps)
    assert trainer.run.load("last").state["step"] == steps
    assert summary.last == trainer.run.metrics()[-1]
    assert summary.last.get("partial", False) == (steps % 6 > 0)


def test_a_tie_goes_to_the_lower_validation_loss_but_is_no_reason_for_patience():
    progress = Progress(best={"val_accuracy": 0.5, "val_loss": 1.0})
    monitor = "val_accuracy"
    assert progress.improves({"val_accuracy": 0.6, "val_loss": 2.0}, monitor) == (True, True)
    assert progress.improves({"val_accuracy": 0.5, "val_loss": 0.9}, monitor) == (True, False)
    assert progress.improves({"val_accuracy": 0.5, "val_loss": 1.0}, monitor) == (False, False)
    assert progress.improves({"val_accuracy": 0.4, "val_loss": 0.1}, monitor) == (False, False)
    assert progress.improves({"val_accuracy": None, "val_loss": 0.1}, monitor) == (False, False)
    assert progress.improves({"val_accuracy": 0.5, "val_loss": None}, monitor) == (False, False)
    assert progress.improves({"val_loss": 0.9}, "val_loss") == (True, True)


def test_two_phases_are_updated_in_turn_without_a_change_to_the_loop(tmp_path):
    model = small.Pair()
    before = model.state_dict()
    trainer = small.trainer(tmp_path / "run", model=model, epochs=1, monitor="val_output_loss")
    summary = trainer.fit()
    after = model.state_dict()
    changed = {k for k in before if not np.array_equal(before[k], after[k])}
    assert {"hidden.weight", "out.weight"} <= changed
    record = summary.last
    assert record["loss"] == pytest.approx(record["hidden_loss"] + record["output_loss"])
    assert record["hidden_loss"] != record["output_loss"]
    keys = trainer.run.load("last").optimizer.keys()
    assert {key.split("/")[0] for key in keys} == {"hidden", "output"}


def test_accumulated_batches_count_by_their_images(tmp_path):
    """Without batch norm and dropout, two halves of a batch move the weights as the whole does."""
    moved = []
    for batch_size, accumulate in ((16, 1), (8, 2)):
        model = small.Classifier()
        model.norm.forward = lambda x: x
        model.dropout.p = 0.0
        changes = {"batch_size": batch_size, "accumulate": accumulate, "optimizer": "sgd"}
        path = tmp_path / str(batch_size)
        trainer = small.trainer(path, model=model, epochs=2, lr=0.1, **changes)
        assert (trainer.steps_per_epoch, trainer.fit().steps) == (3, 6)
        moved.append(model.state_dict())
    for name, array in moved[0].items():
        np.testing.assert_allclose(array, moved[1][name], rtol=1e-4, atol=1e-6)


def test_validation_leaves_no_trace_in_the_model(tmp_path):
    runs = []
    for val in (20, 0):
        monitor = "val_accuracy" if val else "loss"
        model = small.Classifier()
        path = tmp_path / str(val)
        small.trainer(path, model=model, data=small.dataset(val=val), monitor=monitor).fit()
        runs.append(model.state_dict())
    assert all(np.array_equal(runs[0][k], runs[1][k]) for k in runs[0])


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path):
    hashes = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run = small.trainer(tmp_path / name, seed=seed)
        run.fit()
        hashes.append((tmp_path / name / "checkpoints/last/model.safetensors").read_bytes())
    assert hashes[0] == hashes[1] != hashes[2]


def test_what_cannot_be_computed_is_refused(tmp_path):
    with pytest.raises(UsageError, match="val_accuracy cannot be computed"):
        small.trainer(tmp_path / "a", data=small.dataset(val=0))
    with pytest.raises(UsageError, match="optimizer"):
        small.trainer(tmp_path / "b", optimizer="adamant")
    with pytest.raises(UsageError, match="schedule"):
        small.trainer(tmp_path / "c", schedule="cosinus")
    with pytest.raises(UsageError) as caught:
        small.trainer(tmp_path / "d", monitor="val_acuracy").fit()
    assert "val_accuracy" in caught.value.hint
    empty = small.dataset()
    empty.splits["train"] = type(empty.splits["val"])(
        "train", np.zeros((0, 4, 4, 1), np.uint8), np.zeros(0, int)
    )
    with pytest.raises(DataError, match="training part"):
        small.trainer(tmp_path / "e", data=empty)


def test_a_run_that_was_trained_is_not_trained_over(tmp_path):
    small.trainer(tmp_path / "run", epochs=1).fit()
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    with pytest.raises(UsageError) as caught:
        small.trainer(tmp_path / "run", epochs=1).fit()
    assert "--resume" in caught.value.hint
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before


def test_a_warm_up_longer_than_the_training_lasts_all_of_it(tmp_path):
    seen = Recorder()
    small.trainer(tmp_path / "run", observer=seen, warmup=100, max_steps=3).fit()
    rates = [s[2] for s in seen.of("step")]
    assert rates == pytest.approx([0.01 / 3, 0.02 / 3, 0.01])


def test_the_state_of_a_run_is_valid_json_throughout(tmp_path):
    small.trainer(tmp_path / "run", epochs=1).fit()
    found = {path.name for path in tmp_path.rglob("*.json")}
    assert {"status.json", "state.json", "model.json", "manifest.json"} <= found
    for path in tmp_path.rglob("*.json"):
        json.loads(path.read_bytes(), parse_constant=pytest.fail)


def test_a_recipe_given_to_a_trainer_is_kept_with_its_learning_rate_resolved(tmp_path):
    trainer = small.trainer(tmp_path / "run", lr=None)
    trainer.fit()
    kept = Recipe.from_dict(trainer.run.load("last").state["recipe"])
    assert kept.lr == DEFAULT_LR["adam"]


def test_a_last_batch_of_one_image_is_trained_on(tmp_path):
    """Batch norm then has a variance of 0, and no unbiased one."""
    model, seen = small.Classifier(), Recorder()
    small.trainer(tmp_path / "run", model=model, observer=seen, batch_size=42, epochs=2).fit()
    assert [s[3] for s in seen.of("step")] == [42, 1] * 2
    assert all(np.isfinite(array).all() for array in model.state_dict().values())
