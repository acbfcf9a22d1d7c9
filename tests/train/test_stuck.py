"""A loss that stays where it began is remarked upon, once."""

import pytest

from dlcli.train.stuck import Stuck
from tests.train import small


def said(*losses, first=1, **more):
    found = []
    watcher = Stuck(found.append)
    for epoch, loss in enumerate(losses, first):
        watcher.on_epoch({"epoch": epoch, "loss": loss, "val_loss": 1.0, **more})
    return found


@pytest.mark.parametrize(
    "losses",
    [(2.3, 2.3, 2.3), (2.3, 2.299, 2.31, 2.3, 2.3), (0.7, 5.0, 9.0, 3.0), (-5.0, -5.0, -4.0)],
)
def test_a_loss_that_does_not_fall_is_remarked_upon_once(losses):
    (line,) = said(*losses)
    assert "has not fallen in 3 epochs" in line
    assert "--find-lr" in line


@pytest.mark.parametrize(
    "losses", [(2.3, 2.3, 2.2), (2.3, 1.0, 2.4), (-5.0, -5.0, -5.5), (2.3, 2.3), (2.3, None, 2.3)]
)
def test_a_loss_that_falls_or_is_young_is_not(losses):
    assert said(*losses) == []


def test_a_game_and_a_run_that_goes_on_are_left_alone():
    assert said(1.0, 1.0, 1.0, 1.0, generator_loss=0.5) == []
    assert said(1.0, 1.0, 1.0, 1.0, first=7) == []
    assert said(1.0, 1.0, 1.0, 1.0, partial=True) == []


def test_a_training_that_cannot_move_says_so(tmp_path):
    for lr, remarks in ((1e-12, 1), (0.05, 0)):
        found, model = [], small.Classifier()
        model.dropout.p = 0
        how = {"epochs": 4, "batch_size": 43, "lr": lr, "observer": Stuck(found.append)}
        small.trainer(tmp_path / str(lr), model=model, **how).fit()
        assert len(found) == remarks
