"""A recipe refuses what makes no sense and says what would."""

import math

import pytest

from dlcli.errors import UsageError
from dlcli.train.recipe import RANGES, Recipe, keys, lower_is_better, reached

WRONG = [
    ("epochs", 0, "1 or more"),
    ("epochs", 2.5, "a whole number"),
    ("batch_size", 0, "1 or more"),
    ("batch_size", True, "a whole number"),
    ("lr", "fast", "a number"),
    ("lr", -0.1, "0 or more"),
    ("lr", math.nan, "0 or more"),
    ("lr", math.inf, "0 or more"),
    ("momentum", 1.0, "below 1"),
    ("label_smoothing", 1.5, "below 1"),
    ("max_time", 0, "above 0"),
    ("clip_norm", 0, "above 0"),
    ("patience", 0, "1 or more"),
    ("seed", -1, "0 or more"),
    ("optimizer", 3, "a name"),
    ("until", {"loss": "low"}, "finite threshold"),
    ("until", {"loss": math.nan}, "finite threshold"),
    ("until", 0.05, "loss=0.05"),
    ("ema", 1, "below 1"),
    ("ema", 0, "above 0"),
    ("init_from", 3, "text"),
    ("init_from", "", "text"),
    ("reset_head", 1, "true or false"),
    ("freeze", "0.*", "a list"),
    ("freeze", [""], "a list"),
]


@pytest.mark.parametrize(("key", "value", "allowed"), WRONG)
def test_a_value_out_of_range_is_named_with_its_range(key, value, allowed):
    with pytest.raises(UsageError) as caught:
        Recipe(**{key: value})
    assert key in caught.value.what
    assert allowed in caught.value.why


def test_an_unknown_key_gets_a_suggestion():
    with pytest.raises(UsageError) as caught:
        Recipe.from_dict({"ephocs": 3})
    assert "epochs" in caught.value.hint


def test_what_is_written_is_read_again():
    recipe = Recipe(epochs=3, lr=1, until={"loss": 1}, max_time=60, patience=2)
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    assert isinstance(recipe.lr, float)
    assert None not in recipe.to_dict().values()


def test_every_number_has_a_range():
    assert set(keys()) - set(RANGES) == {
        *("optimizer", "schedule", "monitor", "until", "class_weight", "sampling", "on_nan"),
        *("init_from", "init_sha256", "reset_head", "freeze", "augment"),
    }


def test_the_learning_rate_depends_on_the_optimizer_unless_given():
    assert Recipe(optimizer="adam").resolved_lr() == 2e-3
    assert Recipe(optimizer="sgd").resolved_lr() > 2e-3
    assert Recipe(optimizer="sgd", lr=0.5).resolved_lr() == 0.5


def test_a_resumed_run_may_train_longer_but_not_otherwise():
    recipe = Recipe(epochs=3, batch_size=32)
    assert recipe.resume_as({"epochs": 5, "batch_size": 32}).epochs == 5
    with pytest.raises(UsageError) as caught:
        recipe.resume_as({"batch_size": 64})
    assert "batch_size" in caught.value.what
    assert "32" in caught.value.what
    assert "epochs" in caught.value.why


def test_a_loss_is_reached_from_above_and_an_accuracy_from_below():
    assert lower_is_better("val_loss")
    assert not lower_is_better("val_accuracy")
    assert reached("loss", 0.05, 0.05)
    assert not reached("loss", 0.06, 0.05)
    assert reached("val_accuracy", 0.99, 0.98)
    assert not reached("val_accuracy", 0.97, 0.98)
    assert not reached("loss", None, 0.05)
    assert not reached("loss", math.nan, 0.05)
