"""Repainting: figures against the truth, triples, and runs that go on where they were stopped."""

from types import SimpleNamespace

import numpy as np
import pytest

from dlcli.data import picture_domains_kind, picture_pair_kind
from dlcli.data.dataset import ArraySplit, Dataset, fingerprint
from dlcli.data.picture_domains import Domains
from dlcli.data.picture_pairs import Paired
from dlcli.errors import DataError, UsageError
from dlcli.models import cyclegan, pix2pix
from dlcli.train import repainting, task
from dlcli.train.loop import Interrupted
from dlcli.train.recipe import lower_is_better
from dlcli.train.triples import grid, triples
from tests.train import small
from tests.train.outcomes import StopAt, outcome, resumed

KINDS = {"pix2pix": picture_pair_kind.KIND, "cyclegan": picture_domains_kind.KIND}
SIDES = {"pix2pix": 32, "cyclegan": 16}


class Store(ArraySplit):
    """Pairs in memory: pixels (n, 2, H, W, C)."""

    def __init__(self, pixels):
        self.name, self.pixels = "pairs", pixels
        self.labels = np.zeros(len(pixels), np.int64)


def pairs(n, side, seed=0):
    """Pictures that are bright on one side, and their negatives."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 60, (n, side, side, 1))
    x[: n // 2, :, : side // 2] += 150
    return Paired(Store(np.stack([x, 255 - x], axis=1).astype(np.uint8)), np.arange(n))


def data_of(name):
    """Nine pairs to train on, two to validate; of the two domains, none that belong together."""
    side = SIDES[name]
    train, val = pairs(9, side), pairs(2, side, 1)
    if name == "cyclegan":
        train, val = (Domains(*p.sides) for p in (train, val))
    splits = {"train": train, "val": val, "test": pairs(3, side, 2)}
    shape = (side, side, 1)
    print_ = fingerprint([], shape, splits)
    return Dataset("negatives", [], shape, splits, {}, print_, "here", KINDS[name])


def model_of(name, seed=0):
    if name == "pix2pix":
        config = pix2pix.Config(width=2, critic=2)
        return pix2pix.build(config, (32, 32, 1), 0, seed=seed)
    config = cyclegan.Config(width=2, blocks=1, critic=2, pool=2)
    return cyclegan.build(config, (16, 16, 1), 0, seed=seed)


def settings(name):
    monitor = "val_l1" if name == "pix2pix" else "step"
    return {"data": data_of(name), "monitor": monitor, "batch_size": 4, "epochs": 2}


@pytest.mark.parametrize("name", ["pix2pix", "cyclegan"])
def test_a_run_that_is_stopped_at_any_step_goes_on_to_the_same_bits(tmp_path, name):
    small.trainer(tmp_path / "whole", model=model_of(name), **settings(name)).fit()
    for step in (1, 4):
        path = tmp_path / f"{step}"
        with pytest.raises(Interrupted):
            small.trainer(path, model=model_of(name), observer=StopAt(step), **settings(name)).fit()
        resumed(path, model=model_of(name, seed=5), **settings(name)).fit()
        assert outcome(path) == outcome(tmp_path / "whole")


def test_a_pool_and_the_counters_travel_with_the_checkpoint(tmp_path):
    trainer = small.trainer(tmp_path / "run", model=model_of("cyclegan"), **settings("cyclegan"))
    trainer.fit()
    kept = trainer.run.load("last").tensors
    assert kept["pool_a.count"].tolist() == [2]
    assert np.abs(kept["pool_b.pictures"]).max() > 0
    assert kept["pool_a.rng"][2] == 6


# --- figures --------------------------------------------------------------------------------------


class Negative:
    """Makes the negative of a picture, `away` too bright."""

    def __init__(self, away=0.0):
        self.ways, self.away = {"there": (0, 1), "back": (1, 0)}, away

    def eval(self):
        return self

    train = eval

    def paint(self, x, way):
        return -x + self.away


def trained(model, kind=picture_pair_kind.KIND):
    encode = kind.fit(SimpleNamespace(shape=(16, 16, 1)))
    return SimpleNamespace(
        model=model, encode=encode, kind=kind, shape=(16, 16, 1), info={"name": "negative"}
    )


def test_the_truth_is_measured_in_levels_beside_the_median_and_doing_nothing():
    train, test = pairs(9, 16), pairs(5, 16, 1)
    figures, ways = repainting.compare(trained(Negative(0.1)), test, train, 2)
    x, y = (side.astype(float) for side in test.samples(np.arange(5)).swapaxes(0, 1))
    both = train.samples(np.arange(9))
    medians = [np.abs(y - np.median(both[:, 1], axis=0)), np.abs(x - np.median(both[:, 0], axis=0))]
    assert figures["l1"] == pytest.approx(12.75, abs=1e-4)
    assert figures["median_l1"] == pytest.approx(np.mean(medians))
    assert figures["identity_l1"] == pytest.approx(np.abs(x - y).mean())
    assert figures["improvement"] == pytest.approx(1 - 12.75 / np.mean(medians))
    assert figures["of_identity"] == pytest.approx(12.75 / np.abs(x - y).mean())
    assert ways["there"]["l1"] == pytest.approx(ways["back"]["l1"])


def test_the_figures_do_not_depend_on_the_batch_size():
    train, test = pairs(9, 16), pairs(5, 16, 1)
    found = [repainting.compare(trained(Negative()), test, train, size)[0] for size in (1, 3, 99)]
    assert found[0] == pytest.approx(found[1])
    assert found[0] == pytest.approx(found[2])


def test_triples_end_with_the_truth_or_with_the_way_back():
    known = pairs(3, 16)
    found = triples(Negative(), trained(Negative()).encode, known)
    assert found.shape == (6, 3, 16, 16, 1)
    np.testing.assert_array_equal(found[:, 1], found[:, 2])
    np.testing.assert_array_equal(found[0, 0], known.samples([0])[0, 0])
    np.testing.assert_array_equal(found[1, 0], known.samples([0])[0, 1])
    unknown = triples(Negative(), trained(Negative()).encode, Domains(*known.sides))
    np.testing.assert_array_equal(unknown[:, 0], unknown[:, 2])
    assert grid(found).shape[2] == 1


@pytest.mark.parametrize("name", ["pix2pix", "cyclegan"])
def test_a_part_is_measured_with_the_losses_of_the_game(name):
    data = data_of(name)
    what = trained(model_of(name), data.kind)
    found = repainting.TASK.evaluate(what, data, "test", batch_size=2)
    assert {"loss", "l1", "median_l1", "improvement", "of_identity"} <= found.figures.keys()
    assert found.pictures.keys() == {"triples"}
    if name == "pix2pix":
        mean = np.mean([found.figures["l1"]])
        assert mean == pytest.approx(found.about["ways"]["forward"]["l1"], rel=1e-6)
    else:
        without = repainting.TASK.evaluate(what, data, "val", batch_size=2)
        assert {"cycle", "loss"} <= without.figures.keys()
        assert "l1" not in without.figures
        assert "no pairs" in without.notes[0]


def test_l1_is_better_when_lower_and_the_task_is_found_by_the_kind():
    for kind in KINDS.values():
        assert task.of(kind) is repainting.TASK
    assert lower_is_better(repainting.TASK.monitor)
    assert not lower_is_better("val_macro_f1")


# --- new pictures ---------------------------------------------------------------------------------


def test_a_direction_is_asked_for_where_there_are_two():
    painter = repainting.TASK.generator
    options = {"input": "x.png", "direction": None}
    assert painter.way(trained(Negative()), options) == "there"
    assert painter.way(trained(Negative()), {**options, "direction": "back"}) == "back"
    with pytest.raises(UsageError, match="no direction 'up'"):
        painter.check(trained(Negative()), {**options, "direction": "up"})
    with pytest.raises(UsageError, match="--direction does not apply"):
        painter.check(trained(model_of("pix2pix")), {**options, "direction": "forward"})


def test_a_picture_that_cannot_be_read_is_a_data_error(tmp_path):
    (tmp_path / "x.png").write_bytes(b"no image")
    options = {"input": str(tmp_path / "x.png"), "direction": None}
    with pytest.raises(DataError, match=r"x\.png"):
        next(repainting.TASK.generator.generate(trained(Negative()), options, seed=0, sample=0))
