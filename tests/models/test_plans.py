"""Plans: for every model that ships the same bits as without, and from the fifth step on no call of
the model.
"""

import numpy as np
import pytest

from dlcli import optim
from dlcli.data.loader import Batch
from dlcli.engine import executor
from dlcli.engine.planner import WARM
from dlcli.models import catalog
from dlcli.models.seq2seq import NOTHING
from dlcli.train.evaluate import inference
from dlcli.train.memory import TooLarge
from dlcli.train.step import Halted, Kept, Stepper
from tests.engine.strict import StrictExecutor

IMAGE, CLASSES, N = (8, 8, 1), 3, 4
SMALL = {
    "audio-cnn": {"channels": (4, 6, 5), "widths": (9, 3, 5), "strides": (4, 2, 1)},
    "autoencoder": {"code": 3, "hidden": 7, "width": 2},
    "char-lm": {"embedding": 6, "hidden": 8, "layers": 2, "dropout": 0.2},
    "cyclegan": {"width": 2, "blocks": 1, "critic": 2, "pool": 3},
    "dcgan": {"width": 2, "noise": 3, "clusters": 2},
    "forecast": {"hidden": 4},
    "gan": {"hidden": (6,), "noise": 3, "clusters": 2},
    "gru": {"hidden": 5, "dropout": 0.2},
    "lsgan": {"width": 2, "noise": 3, "clusters": 2},
    "lstm": {"hidden": 5, "layers": 2, "dropout": 0.2},
    "pix2pix": {"width": 2, "critic": 2, "tint": 0.2},
    "recommend": {"factors": 3},
    "rnn": {"hidden": 5, "dropout": 0.2},
    "seq2seq": {"embedding": 5, "hidden": 4, "attention": 3},
    "text-attention": {"embedding": 6, "hidden": 5, "attention": 3},
    "text-cnn": {"embedding": 6, "filters": 4},
    "text-lstm": {"embedding": 6, "hidden": 5},
    "vae": {"code": 3, "hidden": 7, "width": 2},
    "wgan": {"width": 2, "noise": 3, "clusters": 2, "gp": True},
    "word-lm": {"embedding": 8, "hidden": 8, "layers": 2, "dropout": 0.2},
}


def images(rng):
    return rng.uniform(-1, 1, (N, *IMAGE)).astype(np.float32), rng.integers(0, CLASSES, N), ()


def squares(rng):
    return rng.uniform(-1, 1, (N, 16, 16, 1)).astype(np.float32), rng.integers(0, CLASSES, N), ()


def pairs_of_pictures(rng):
    return rng.uniform(-1, 1, (N, 2, 32, 32, 1)).astype(np.float32), np.zeros(N, np.int64), ()


def texts(rng):
    lengths = rng.integers(1, 7, N).astype(np.int32)
    ids = np.where(np.arange(6) < lengths[:, None], rng.integers(2, 30, (N, 6)), 0)
    return ids, rng.integers(0, CLASSES, N), (lengths,)


def windows(rng):
    ids, goes_on = rng.integers(0, 11, (N, 6)), rng.integers(0, 2, N).astype(np.float32)
    return np.ascontiguousarray(ids[:, :-1]), ids[:, 1:].reshape(-1), (goes_on,)


def series(rng):
    about = np.tile([50.0, 4.0], (N, 1))
    return rng.normal(size=(N, 5, 3)).astype(np.float32), rng.normal(50, 4, (N, 2)), (about,)


def ratings(rng):
    users, items = rng.integers(0, 6, N), rng.integers(0, 5, N)
    return users, rng.uniform(1, 5, N), (items, np.tile([3.0, 1.0], (N, 1)))


def sounds(rng):
    present = np.ones((N, 40), np.float32)
    present[0, 30:] = 0
    return rng.normal(size=(N, 40, 1)).astype(np.float32), rng.integers(0, CLASSES, N), (present,)


def translations(rng):
    sources, targets = rng.integers(2, 8, (2, N, 6))
    lengths = rng.integers(1, 7, N).astype(np.int32)
    wanted = np.where(np.arange(6) < rng.integers(2, 7, (N, 1)), targets % 7, NOTHING)
    return sources, np.zeros(N, np.int64), (lengths, targets % 7, wanted)


KINDS = {  # of samples: what a model is built for, and a batch of it
    "image": (IMAGE, images),
    "picture": (IMAGE, images),
    "text": ((64, 30), texts),
}
OWN = {
    "audio-cnn": ((8000, 8000), sounds),
    "char-lm": ((5, 11), windows),
    "cyclegan": ((32, 32, 1), pairs_of_pictures),
    "dcgan": ((16, 16, 1), squares),
    "forecast": ((5, 3, 2), series),
    "lsgan": ((16, 16, 1), squares),
    "pix2pix": ((32, 32, 1), pairs_of_pictures),
    "recommend": ((6, 5), ratings),
    "seq2seq": ((8, 9, 8, 7), translations),
    "wgan": ((16, 16, 1), squares),
    "word-lm": ((5, 11), windows),
}


def kind_of(name):
    """What the model is built for, and a function that makes samples of it."""
    return OWN.get(name) or KINDS[getattr(catalog.load(name), "KIND", "image")]


def batch_of(name, rng):
    x, y, more = kind_of(name)[1](rng)
    return Batch(x, y, np.arange(N), tuple(more))


def trained_on(stepper, name, rng, number, spoilt=False):
    """A step on another batch."""
    batch = batch_of(name, rng)
    if spoilt:
        batch.x[0] = np.nan
    return stepper.step([batch], 1e-3, number)


def trained(name, plan, steps=9):
    """What each step says and what came of them, with the stepper."""
    module = catalog.load(name)
    shape, _ = kind_of(name)
    config = module.Config(**SMALL.get(name, {}))
    model = module.build(config, shape, CLASSES, seed=3).train()
    model.plan = plan
    if hasattr(model, "hold"):
        model.hold(N)
    stepper = Stepper(model, lambda phase: optim.make("adam", phase.parameters))
    rng = np.random.default_rng(0)
    found = [trained_on(stepper, name, rng, number) for number in range(steps)]
    return found, {**model.state_dict(), **stepper.state_dict()}, stepper


def planned(stepper):
    """Of each kind of step how often it was asked for, and why it has no plan."""
    return {
        key[0]: (entry.calls, entry.refusal or entry.plan is not None)
        for key, entry in stepper.repeater.planner.entries.items()
    }


@pytest.mark.parametrize("name", catalog.names())
def test_a_plan_makes_the_same_bits_as_the_model_called_in_every_step(name):
    want, tensors, _ = trained(name, plan=False)
    found, others, stepper = trained(name, plan=True)
    assert planned(stepper) == dict.fromkeys(planned(stepper), (9, True))
    assert found == want
    assert tensors.keys() == others.keys()
    for key, array in tensors.items():
        np.testing.assert_array_equal(others[key], array, err_msg=key)


@pytest.mark.parametrize("name", catalog.names())
def test_on_a_device_with_memory_of_its_own_a_plan_makes_the_same_bits_too(name):
    with executor.using(StrictExecutor()):
        want, tensors, _ = trained(name, plan=False, steps=6)
    with executor.using(StrictExecutor()):
        found, others, stepper = trained(name, plan=True, steps=6)
    assert planned(stepper) == dict.fromkeys(planned(stepper), (6, True))
    assert found == want
    assert tensors.keys() == others.keys()
    for key, array in tensors.items():
        np.testing.assert_array_equal(others[key], array, err_msg=key)


def test_a_plan_that_runs_out_of_memory_is_not_done_a_second_time(monkeypatch):
    """Some phases may have moved already."""
    *_, stepper = trained("dcgan", plan=True, steps=5)

    def fail(self, given):
        raise MemoryError

    monkeypatch.setattr("dlcli.engine.cpu_plan.CpuPlan.run", fail)
    before = stepper.model.state_dict()
    with pytest.raises(TooLarge) as large:
        trained_on(stepper, "dcgan", np.random.default_rng(5), 5)
    assert not large.value.clean
    for key, array in stepper.model.state_dict().items():
        np.testing.assert_array_equal(array, before[key], err_msg=key)


@pytest.mark.parametrize("weight", [None, np.array([0.5, 1.0, 2.0], np.float32)])
def test_samples_that_are_mixed_have_plans_too(weight):
    outcomes = []
    for plan in (False, True):
        *_, stepper = trained("cnn-small", plan, steps=0)
        stepper.model.label_smoothing, stepper.model.class_weight = 0.1, weight
        rng = np.random.default_rng(0)
        for number in range(7):
            x, y, _ = images(rng)
            shares = rng.dirichlet(np.ones(CLASSES), N).astype(np.float32)
            stepper.step([Batch(x, y, np.arange(N), (), shares)], 1e-3, number)
        outcomes.append(stepper.model.state_dict())
    assert planned(stepper) == {("step", "train"): (7, True)}
    for key, array in outcomes[0].items():
        np.testing.assert_array_equal(outcomes[1][key], array, err_msg=key)


@pytest.mark.parametrize("name", ["cnn", "dcgan", "text-lstm"])
def test_from_the_fifth_step_on_the_model_is_not_called(name):
    *_, stepper = trained(name, plan=True, steps=4)
    for phase in stepper.phases:
        phase.loss = None
    loss, _, images = trained_on(stepper, name, np.random.default_rng(9), 4)
    assert np.isfinite(loss)
    assert images == N


@pytest.mark.parametrize("name", ["cnn", "dcgan"])
def test_a_batch_that_is_not_finite_moves_nothing_and_the_plan_goes_on_afterwards(name):
    outcomes = []
    for plan in (False, True):
        *_, stepper = trained(name, plan, steps=6)
        before = stepper.model.state_dict()
        with pytest.raises(Halted) as halted:
            trained_on(stepper, name, np.random.default_rng(5), 6, spoilt=True)
        assert halted.value.phase == stepper.phases[0].name
        assert halted.value.clean
        for key, array in stepper.model.state_dict().items():
            np.testing.assert_array_equal(array, before[key], err_msg=key)
        stepper.resume()
        trained_on(stepper, name, np.random.default_rng(6), 7)
        outcomes.append(stepper.model.state_dict())
    for key, array in outcomes[0].items():
        np.testing.assert_array_equal(outcomes[1][key], array, err_msg=key)


@pytest.mark.parametrize("name", catalog.names())
def test_what_is_measured_by_a_plan_is_what_the_model_says(name):
    *_, stepper = trained(name, plan=True, steps=1)
    batches = [batch_of(name, np.random.default_rng(seed)) for seed in range(8)]
    found = []
    for plan in (False, True):
        stepper.repeater.planner.enabled = plan
        if hasattr(stepper.model, "passing"):
            stepper.model.passing.clear()  # the text begins anew
        with inference(stepper.model):
            kept = Kept(stepper.model)
            found.append([stepper._measured(batch).sums for batch in batches])
            kept.restore()
    assert found[0] == found[1]
    assert planned(stepper)[("measure",)] == (8, True)


def built(name, **more):
    module = catalog.load(name)
    config = module.Config(**SMALL.get(name, {}), **more)
    return module.build(config, kind_of(name)[0], CLASSES, seed=3)


def given_to_paint(model, name, rng):
    """What a model that draws is given, and what one that repaints is."""
    if not hasattr(model, "ways"):
        return [(rng.standard_normal((N, model.dims)).astype(np.float32), np.arange(N) % CLASSES)]
    x = kind_of(name)[1](rng)[0]
    return [(np.ascontiguousarray(x[:, 0]), way) for way in model.ways]


@pytest.mark.parametrize("name", [n for n in catalog.names() if hasattr(built(n), "paint")])
def test_pictures_are_painted_by_plans_and_the_same(name, plans):
    found = []
    for plan in (False, True):
        model = built(name).eval()
        model.plan, rng = plan, np.random.default_rng(0)
        found.append([])
        for _ in range(8):
            asked = given_to_paint(model, name, rng)
            found[-1] += [model.paint(*one) for one in asked]
    assert len(plans) == (8 - WARM - 2) * len(asked)
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(found[1][-1], found[1][-1 - len(asked)])


@pytest.mark.parametrize(
    ("name", "more", "steps"),
    [("autoencoder", {}, 2), ("vae", {}, 2), ("vae", {"conditional": True}, 2 + CLASSES)],
)
def test_codes_of_pictures_by_plans_are_the_same(name, more, steps, plans):
    """steps: there and back, and one for each class that an image may be of, which share a plan."""
    rng, model = np.random.default_rng(0), built(name, **more).eval()
    for _ in range(8):
        x = images(rng)[0]
        found = []
        for plan in (False, True):
            model.plan = plan
            found.append(model.recode(x)[:2])
        for one, other in zip(*found, strict=True):
            np.testing.assert_array_equal(one, other)
    each = WARM + 2
    assert len(plans) == 2 * (8 - each) + (8 * (steps - 2) - each if steps > 2 else 0)


def test_pictures_of_codes_that_are_a_part_of_an_array_are_their_own():
    model, rng = built("vae").eval(), np.random.default_rng(0)
    for _ in range(8):
        codes = rng.standard_normal((N, 2 * model.dims)).astype(np.float32)[:, : model.dims]
        found = []
        for plan in (False, True):
            model.plan = plan
            found.append(model.paint(codes))
        np.testing.assert_array_equal(*found)
