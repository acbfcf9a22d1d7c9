"""A run that is stopped anywhere and resumed is, bit for bit, one that never stopped."""

import os
import signal
from contextlib import suppress

import pytest

from dlcli.errors import CheckpointError, OutputError, UsageError
from dlcli.train import checkpoint, protocol
from dlcli.train.loop import Interrupted
from dlcli.train.run import RunDir
from tests.train import small
from tests.train.outcomes import StopAt, outcome, resumed

SETTINGS = [
    {},
    {"schedule": "plateau", "optimizer": "momentum", "lr": 0.1},
    {"accumulate": 4, "optimizer": "adamw", "weight_decay": 0.01, "clip_norm": 1.0},
]


@pytest.mark.parametrize("changes", SETTINGS, ids=lambda c: c.get("schedule", str(len(c))))
def test_stopping_after_any_step_and_resuming_changes_no_bit(tmp_path, changes):
    whole = small.trainer(tmp_path / "whole", **changes)
    total = whole.fit().steps
    want = outcome(tmp_path / "whole")
    for step in range(1, total + 1):
        path = tmp_path / f"{step}"
        with pytest.raises(Interrupted) as caught:
            small.trainer(path, observer=StopAt(step), **changes).fit()
        assert caught.value.exit_code == 143
        assert RunDir.open(path).status()["state"] == "interrupted"
        assert RunDir.open(path).load("last").state["step"] == step
        again = resumed(path, **changes)
        again.fit()
        assert again.run.status()["state"] == "finished"
        assert "error" not in again.run.status()
        assert outcome(path) == want, f"stopped after step {step}"
        assert {p.name for p in (path / "checkpoints").iterdir()} == {"best", "last"}


def test_two_phases_resume_bit_for_bit(tmp_path):
    settings = {"monitor": "val_loss", "epochs": 2}
    small.trainer(tmp_path / "whole", model=small.Pair(), **settings).fit()
    with pytest.raises(Interrupted):
        small.trainer(tmp_path / "cut", model=small.Pair(), observer=StopAt(9), **settings).fit()
    resumed(tmp_path / "cut", model=small.Pair(seed=5), **settings).fit()
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")


def test_dying_at_any_call_that_touches_the_disk_and_resuming_changes_no_bit(
    tmp_path, faults, killed
):
    settings = {"epochs": 2, "checkpoint_every": 2}
    small.trainer(tmp_path / "whole", **settings).fit()
    want = outcome(tmp_path / "whole")
    trainer = small.trainer(tmp_path / "count", **settings)
    with faults() as found:
        trainer.fit()
    assert found.count > 100
    early = 0
    for at in range(0, found.count, 9):
        path = tmp_path / f"{at}"
        trainer = small.trainer(path, **settings)
        with faults(at, "kill"), pytest.raises(killed):
            trainer.fit()
        trainer.run._lock.release(force=True)  # as the system does for a dead process
        if not (path / "checkpoints/last").exists() and at < 40:
            with pytest.raises(CheckpointError) as caught:
                resumed(path, **settings)
            assert caught.value.why == "nothing has been saved yet"
            early += 1
            continue
        resumed(path, **settings).fit()
        assert outcome(path) == want, f"died at call {at}"
    assert 0 < early < 6


def test_a_full_disk_ends_the_run_with_a_checkpoint_that_resumes(tmp_path, faults):
    settings = {"epochs": 2, "checkpoint_every": 2}
    small.trainer(tmp_path / "whole", **settings).fit()
    want, finished = outcome(tmp_path / "whole"), 0
    for at in range(66, 230, 13):
        path = tmp_path / f"{at}"
        trainer = small.trainer(path, **settings)
        with faults(at, "fail"), suppress(OutputError):  # tidying up may fail without harm
            trainer.fit()
            finished += 1
        failed = trainer.run.status()["state"] == "failed"
        assert failed == ("error" in trainer.run.status())
        left = {p.name for p in (path / "checkpoints").iterdir()}
        assert left <= {"best", "last", "last.old", "best.old"}
        resumed(path, **settings).fit()
        assert outcome(path) == want
    assert finished < 6


def test_validation_that_a_signal_cuts_short_is_done_again(tmp_path):
    settings = {"epochs": 2}
    small.trainer(tmp_path / "whole", **settings).fit()

    class Cut(small.Classifier):
        def loss(self, batch):
            if not self.training:
                os.kill(os.getpid(), signal.SIGINT)
            return super().loss(batch)

    with pytest.raises(Interrupted) as caught:
        small.trainer(tmp_path / "cut", model=Cut(), **settings).fit()
    assert caught.value.exit_code == 130
    assert RunDir.open(tmp_path / "cut").metrics() == []
    resumed(tmp_path / "cut", **settings).fit()
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")


def test_a_second_sigint_stops_at_once_and_the_old_checkpoint_is_intact(tmp_path, monkeypatch):
    trainer = small.trainer(tmp_path / "run", observer=StopAt(9, signal.SIGINT))
    saved, pack = [], checkpoint.tensors.pack

    def impatient(tensors):
        saved.append(trainer.progress.step)
        if trainer.progress.step == 9:
            os.kill(os.getpid(), signal.SIGINT)
        return pack(tensors)

    monkeypatch.setattr(checkpoint.tensors, "pack", impatient)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted) as caught:
        trainer.fit()
    assert caught.value.exit_code == 130
    assert "twice" in caught.value.why
    assert saved[-1] == 9
    assert trainer.run.load("last").state["step"] == 6
    assert trainer.run.status()["state"] == "interrupted"
    assert signal.getsignal(signal.SIGINT) is before


def test_resuming_a_finished_run_says_so_and_changes_nothing(tmp_path):
    small.trainer(tmp_path / "run").fit()
    files = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.suffix in (".json", ".jsonl")}
    for _ in range(2):
        summary = resumed(tmp_path / "run").fit()
        assert summary.already_finished
        assert (summary.stop, summary.steps, summary.epochs) == ("epochs", 18, 3)
    assert {p: p.read_bytes() for p in files} == files


def test_resuming_with_more_epochs_goes_on(tmp_path):
    small.trainer(tmp_path / "run", epochs=1).fit()
    summary = resumed(tmp_path / "run", epochs=3).fit()
    assert not summary.already_finished
    assert (summary.steps, summary.epochs) == (18, 3)
    assert [r["epoch"] for r in RunDir.open(tmp_path / "run").metrics()] == [1, 2, 3]


def test_a_training_cut_by_max_steps_goes_on_within_the_epoch(tmp_path):
    small.trainer(tmp_path / "run", max_steps=8, epochs=9).fit()
    summary = resumed(tmp_path / "run", max_steps=14, epochs=9).fit()
    assert (summary.steps, summary.epochs) == (14, 2)
    records = RunDir.open(tmp_path / "run").metrics()
    assert [(r["epoch"], r["step"], r.get("partial")) for r in records] == [
        (1, 6, None),
        (2, 8, True),
        (2, 12, None),
        (3, 14, True),
    ]


def test_steps_that_no_validation_saw_are_validated_before_the_end(tmp_path):
    with pytest.raises(Interrupted):
        small.trainer(tmp_path / "run", observer=StopAt(4)).fit()
    summary = resumed(tmp_path / "run", max_steps=2).fit()
    assert (summary.steps, summary.stop, summary.already_finished) == (4, "max_steps", False)
    assert summary.best == summary.last == RunDir.open(tmp_path / "run").metrics()[-1]
    assert (summary.last["step"], summary.last["partial"]) == (4, True)
    assert RunDir.open(tmp_path / "run").load("best").state["step"] == 4


def test_time_spent_survives_a_resume(tmp_path):
    small.trainer(tmp_path / "run", max_time=1e-6).fit()
    assert resumed(tmp_path / "run", max_time=1e-6).fit().already_finished
    summary = resumed(tmp_path / "run", max_time=60.0, max_steps=3).fit()
    assert summary.stop == "max_steps"
    assert summary.seconds > RunDir.open(tmp_path / "run").metrics()[0]["timing"]["elapsed"] > 0


def test_a_resume_with_other_data_or_settings_is_refused(tmp_path):
    small.trainer(tmp_path / "run", epochs=1).fit()
    with pytest.raises(UsageError, match="not the data"):
        resumed(tmp_path / "run", epochs=2, data=small.dataset(seed=1))
    with pytest.raises(UsageError, match="batch_size"):
        resumed(tmp_path / "run", epochs=2, batch_size=4)
    with pytest.raises(UsageError, match="seed"):
        resumed(tmp_path / "run", epochs=2, seed=4)


def test_a_checkpoint_of_another_model_or_optimiser_is_refused(tmp_path):
    small.trainer(tmp_path / "run", epochs=1).fit()
    other = small.Classifier()
    other.out = small.Linear(8, 4)
    with pytest.raises(CheckpointError) as caught:
        resumed(tmp_path / "run", epochs=2, model=other)
    assert "out.weight is float32[3, 8], not float32[4, 8]" in caught.value.why
    with pytest.raises(CheckpointError, match="optimiser"):
        resumed(tmp_path / "run", epochs=2, model=small.Pair())


def test_a_damaged_last_checkpoint_is_replaced_by_the_best_with_a_warning(tmp_path):
    seen = []

    class Listener(protocol.Quiet):
        def on_start(self, info):
            seen.extend(info["warnings"])

    settings = {"epochs": 4, "monitor": "val_loss", "lr": 0.05}
    small.trainer(tmp_path / "run", **settings).fit()
    want = outcome(tmp_path / "run")
    (tmp_path / "run/checkpoints/last/model.safetensors").write_bytes(b"")
    best = RunDir.open(tmp_path / "run").load("best").state["step"]
    trainer = resumed(tmp_path / "run", observer=Listener(), **settings)
    assert trainer.progress.step == best
    if not trainer.fit().already_finished:
        assert seen == trainer.warnings
        assert outcome(tmp_path / "run") == want
    assert "model.safetensors" in trainer.warnings[0]
