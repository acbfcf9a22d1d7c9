"""Schedules: their shapes, their errors, and PyTorch's schedulers step by step."""

import json
from itertools import pairwise

import pytest

from dlcli import schedule
from dlcli.errors import UsageError

STEPS = 40


def rates(name, steps=STEPS, **settings):
    made = schedule.make(name, lr=0.1, total_steps=steps, **settings)
    return [made.at(i) for i in range(steps)]


def torch_rates(build, steps=STEPS):
    """The rates of `steps` steps under a PyTorch scheduler."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    scheduler, seen = build(torch.optim.lr_scheduler, optimizer), []
    for i in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if i < steps - 1:  # OneCycleLR does not go beyond the last step
            scheduler.step()
    return seen


TORCH = {
    "step": ({"step_size": 7, "gamma": 0.3}, lambda s, o: s.StepLR(o, 7, 0.3)),
    "exponential": ({"gamma": 0.93}, lambda s, o: s.ExponentialLR(o, 0.93)),
    "cosine": ({"final_lr": 0.01}, lambda s, o: s.CosineAnnealingLR(o, STEPS, eta_min=0.01)),
    "one-cycle": (
        {"rise": 0.35, "start_factor": 10.0, "final_factor": 100.0},
        lambda s, o: s.OneCycleLR(
            o, 0.1, STEPS, pct_start=0.35, div_factor=10.0, final_div_factor=100.0,
            cycle_momentum=False,
        ),
    ),
}  # fmt: skip


@pytest.mark.oracle
@pytest.mark.parametrize("name", TORCH)
def test_a_schedule_has_the_rates_of_pytorch(name):
    settings, build = TORCH[name]
    assert rates(name, **settings) == pytest.approx(torch_rates(build), rel=1e-9)


@pytest.mark.oracle
def test_warm_up_and_cosine_have_the_rates_of_pytorch_in_sequence():
    def build(s, o):
        rise = s.LinearLR(o, start_factor=1 / 8, total_iters=7)
        return s.SequentialLR(o, [rise, s.CosineAnnealingLR(o, STEPS - 8)], milestones=[8])

    assert rates("cosine", warmup_steps=8) == pytest.approx(torch_rates(build), rel=1e-9)


LOSSES = [3, 2, 2, 2, 2, 1.9999, 1.9, 1.9, 1.9, 1.9, 1.9, 1.9, float("nan"), 1.9, 1.9, 1.9, 1.5, 2]


@pytest.mark.oracle
@pytest.mark.parametrize("cooldown", [0, 3])
@pytest.mark.parametrize("patience", [0, 2])
def test_plateau_has_the_rates_of_pytorch(patience, cooldown):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    settings = {"factor": 0.5, "patience": patience, "cooldown": cooldown, "min_lr": 0.004}
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **settings)
    ours = schedule.make("plateau", lr=0.1, total_steps=STEPS, **settings)
    for i, loss in enumerate(LOSSES):
        theirs.step(loss)
        ours.observe(loss)
        assert ours.at(i) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
    assert ours.at(0) < 0.1


def test_plateau_continues_after_its_state_went_through_json():
    def fresh():
        return schedule.make("plateau", lr=0.1, total_steps=STEPS, patience=2, factor=0.5)

    whole, first, second = fresh(), fresh(), fresh()
    second.load(json.loads(json.dumps(first.state(), allow_nan=False)))
    for loss in LOSSES[:4]:
        first.observe(loss)
    second.load(json.loads(json.dumps(first.state(), allow_nan=False)))
    for i, loss in enumerate(LOSSES):
        whole.observe(loss)
        if i >= 4:
            second.observe(loss)
            assert second.at(i) == whole.at(i)
    assert second.state() == whole.state()


@pytest.mark.parametrize("name", schedule.names())
def test_warm_up_rises_linearly_to_where_the_schedule_begins(name):
    plain, warmed = rates(name, steps=30), rates(name, steps=40, warmup_steps=10)
    assert warmed[10:] == pytest.approx(plain, rel=1e-12)
    steps = [b - a for a, b in pairwise(warmed[:10])]
    assert warmed[0] == pytest.approx(plain[0] / 10)
    assert steps == pytest.approx([plain[0] / 10] * 9)


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
@pytest.mark.parametrize("name", schedule.names())
def test_the_rate_is_positive_at_most_lr_and_stays_after_the_last_step(name, steps):
    made = schedule.make(name, lr=0.1, total_steps=steps)
    seen = [made.at(i) for i in range(steps)]
    assert all(0 < rate <= 0.1 for rate in seen)
    assert made.at(steps) == made.at(10 * steps) == seen[-1]


def test_the_first_step_of_a_warm_up_over_the_whole_run_is_one_share():
    assert rates("constant", steps=4, warmup_steps=4) == pytest.approx([0.025, 0.05, 0.075, 0.1])


def test_exponential_ends_at_a_hundredth_and_step_falls_twice_by_default():
    assert rates("exponential")[-1] == pytest.approx(0.001)
    assert sorted(set(rates("step")), reverse=True) == pytest.approx([0.1, 0.01, 0.001])


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ({"name": "cosin"}, "cosine"),
        ({"name": "step", "step_sise": 3}, "step_size"),
        ({"name": "constant", "gamma": 3}, "has no settings"),
    ],
)
def test_an_unknown_name_or_setting_is_a_usage_error_with_a_hint(wrong, hint):
    with pytest.raises(UsageError) as caught:
        schedule.make(**{"lr": 0.1, "total_steps": 5, **wrong})
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "constant", "lr": float("nan")},
        {"name": "constant", "lr": -0.1},
        {"name": "constant", "total_steps": 0},
        {"name": "constant", "warmup_steps": 6},
        {"name": "constant", "warmup_steps": -1},
        {"name": "step", "step_size": 0},
        {"name": "step", "gamma": 0.0},
        {"name": "exponential", "gamma": -1.0},
        {"name": "cosine", "final_lr": -1.0},
        {"name": "one-cycle", "rise": 1.0},
        {"name": "one-cycle", "start_factor": 0.0},
        {"name": "plateau", "factor": 1.0},
        {"name": "plateau", "patience": -1},
    ],
)
def test_a_value_that_makes_no_sense_is_a_usage_error_that_says_why(wrong):
    with pytest.raises(UsageError) as caught:
        schedule.make(**{"lr": 0.1, "total_steps": 5, **wrong})
    assert caught.value.why
