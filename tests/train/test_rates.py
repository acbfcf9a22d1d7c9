"""The search for a learning rate: when it stops, and what it makes of the curve."""

import math

import numpy as np
import pytest

from dlcli.errors import NonFiniteError, UsageError
from dlcli.train import rates
from tests.train import small


def curve(loss, lowest=1e-6, highest=10.0, steps=200, noise=0.0):
    """What is seen of a model whose loss with a rate is loss(rate)."""
    found, rng = rates.Curve(), np.random.default_rng(0)
    for step in range(steps):
        rate = lowest * (highest / lowest) ** (step / (steps - 1))
        found.add(rate, loss(rate) + noise * rng.standard_normal())
        if found.exploded:
            found.why = "exploded"
            break
    return found


def a_valley(rate):
    """Falls around 1e-3 from 2.3 to 0.3, explodes beyond 1."""
    fallen = 2 / (1 + math.exp(-3 * math.log(rate / 1e-3)))
    return 2.3 - fallen + (rate**4 if rate < 1e3 else math.inf)


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_a_rate_is_suggested_where_the_loss_falls_and_below_where_it_is_least(noise):
    found = curve(a_valley, noise=noise)
    assert found.why == "exploded"
    advice = rates.advise(found)
    assert 5e-4 < advice.steepest < 5e-3
    least = found.rates[int(np.argmin(found.smoothed))]
    assert advice.tenth == pytest.approx(least / 10)


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("level", [2.3, 1e-3, 0.0, -4.0])
def test_nothing_is_suggested_of_a_loss_that_does_not_fall(level, noise):
    found = curve(lambda rate: level, noise=noise * max(abs(level), 1))
    assert found.why == "highest rate"
    assert rates.advise(found) is None


def test_nothing_is_suggested_of_a_loss_that_only_rises_or_of_few_steps():
    assert rates.advise(curve(lambda rate: 1 + math.log(rate / 1e-6))) is None
    assert rates.advise(curve(a_valley, steps=5)) is None


def test_the_average_of_a_constant_is_the_constant_from_the_first_step_on():
    assert curve(lambda rate: 3.0).smoothed == pytest.approx([3.0] * 200)


@pytest.fixture
def stepper(tmp_path):
    def make(model, **changes):
        trainer = small.trainer(tmp_path / "r", model=model, **changes)
        return trainer.stepper, trainer.loader

    return make


def test_the_rate_rises_exponentially_over_as_many_epochs_as_it_takes(stepper):
    seen = []
    found = rates.measure(*stepper(small.Classifier()), steps=40, on_step=lambda *s: seen.append(s))
    assert len(found.losses) > 6  # the batches of an epoch
    assert found.rates[0] == rates.LOWEST
    growth = np.diff(np.log(found.rates))
    np.testing.assert_allclose(growth, math.log(rates.HIGHEST / rates.LOWEST) / 39)
    assert [s[0] for s in seen] == list(range(1, len(found.losses) + 1))
    assert [s[2] for s in seen] == found.losses


def test_the_same_seed_gives_the_same_curve(tmp_path):
    curves = []
    for name in "ab":
        trainer = small.trainer(tmp_path / name)
        curves.append(rates.measure(trainer.stepper, trainer.loader, steps=20))
    assert curves[0] == curves[1]


def test_a_loss_that_is_no_number_ends_the_search_or_is_an_error_in_the_first_step(tmp_path):
    model = small.Classifier()
    model.spoil_at = 9
    trainer = small.trainer(tmp_path / "a", model=model)
    found = rates.measure(trainer.stepper, trainer.loader)
    assert (found.why, len(found.losses)) == ("not finite", 8)
    model = small.Classifier()
    model.spoil_at = 1
    trainer = small.trainer(tmp_path / "b", model=model)
    with pytest.raises(NonFiniteError, match="first step"):
        rates.measure(trainer.stepper, trainer.loader)


def test_a_model_of_two_phases_is_refused_with_their_names(stepper):
    with pytest.raises(UsageError) as caught:
        rates.measure(*stepper(small.Pair(), monitor="val_loss"))
    assert "hidden and output" in caught.value.why
