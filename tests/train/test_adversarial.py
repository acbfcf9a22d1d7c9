"""Training a GAN: it resumes bit for bit, draws as it goes, and stops where it diverges."""

import numpy as np
import pytest
from PIL import Image

from dlcli.data.codes import codes
from dlcli.data.picture_kind import KIND
from dlcli.errors import NonFiniteError
from dlcli.models import dcgan, gan, wgan
from dlcli.train import drawing
from dlcli.train.gallery import Gallery
from dlcli.train.loop import Interrupted
from dlcli.train.run import RunDir
from dlcli.train.task import Trained
from tests.train import small
from tests.train.outcomes import StopAt, outcome

SETTINGS = {"monitor": "step", "epochs": 2, "beta1": 0.5}
MODELS = {
    "gan": (gan, gan.Config(hidden=(16,), noise=3, conditional=True)),
    "dcgan": (dcgan, dcgan.Config(width=2, noise=3)),
    "clusters": (dcgan, dcgan.Config(width=2, noise=3, clusters=4)),
    "wgan": (wgan, wgan.Config(width=2, noise=3, every=2)),
    "wgan-gp": (wgan, wgan.Config(width=2, noise=3, every=2, gp=True)),
}


def pictures():
    """The small dataset, enlarged to 8×8, as pictures."""
    from dataclasses import replace

    from dlcli.data.dataset import ArraySplit

    found = small.dataset()
    splits = {
        name: ArraySplit(name, part.pixels.repeat(2, axis=1).repeat(2, axis=2), part.labels)
        for name, part in found.splits.items()
    }
    return replace(found, shape=(8, 8, 1), splits=splits, kind=KIND)


def game(name, seed=0):
    module, config = MODELS[name]
    return module.build(config, (8, 8, 1), 3, seed=seed)


def trainer(path, name, seed=0, **more):
    return small.trainer(path, model=game(name, seed), data=pictures(), **{**SETTINGS, **more})


@pytest.mark.parametrize("name", MODELS)
def test_a_game_that_is_stopped_and_resumed_is_bit_for_bit_one_that_never_stopped(tmp_path, name):
    trainer(tmp_path / "whole", name).fit()
    with pytest.raises(Interrupted):
        trainer(tmp_path / "cut", name, observer=StopAt(9)).fit()
    kept = RunDir.open(tmp_path / "cut").load("last")
    trainer(tmp_path / "cut", name, seed=5, resume=kept).fit()
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")


def test_the_latest_checkpoint_is_the_best_where_steps_are_monitored(tmp_path):
    made = trainer(tmp_path / "run", "gan").fit()
    assert made.best["step"] == made.last["step"] == made.steps


def test_a_run_says_how_the_game_stands(tmp_path):
    made = trainer(tmp_path / "run", "gan").fit()
    assert 0 < made.last["d_real"] < 1
    assert made.last["discriminator_grad_norm"] > 0
    assert made.last["generator_grad_norm"] > 0
    assert made.last["val_diversity"] > 0
    assert made.last["loss"] == pytest.approx(
        made.last["discriminator_loss"] + made.last["generator_loss"]
    )


def test_a_game_that_diverges_ends_with_7_and_the_last_good_checkpoint_loads(tmp_path):
    with pytest.raises(NonFiniteError) as caught, np.errstate(all="ignore"):
        trainer(tmp_path / "run", "wgan-gp", lr=1e30, epochs=9, optimizer="sgd", beta1=None).fit()
    assert caught.value.exit_code == 7
    kept = RunDir.open(tmp_path / "run").load("last")
    assert all(np.isfinite(array).all() for array in kept.tensors.values())


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"d_real": 0.99, "d_fake": 0.01, "val_diversity": 0.9}, ["has won"]),
        ({"d_real": 0.6, "d_fake": 0.4, "val_diversity": 0.1}, ["modes collapse"]),
        ({"d_real": 0.99, "d_fake": 0.01, "val_diversity": 0.1}, ["has won", "modes collapse"]),
        ({"d_real": 0.6, "d_fake": 0.4, "val_diversity": 0.9}, []),
        ({"score_real": 9.0, "score_fake": -9.0}, []),
        ({"val_diversity": 0.1, "partial": True}, []),
    ],
)
def test_a_game_that_goes_wrong_is_remarked_upon(record, said):
    found = drawing.remarks(record)
    assert len(found) == len(said)
    assert all(words in line for words, line in zip(said, found, strict=True))


def test_the_gallery_draws_the_same_codes_after_every_epoch_and_a_film_at_the_end(tmp_path):
    model, run = game("gan"), RunDir.create("gan", "sides", out=tmp_path / "run")
    told = []
    gallery = Gallery(run, model, small.CLASSES, told.append)
    state = model.state_dict()
    gallery.on_epoch({"epoch": 1})
    gallery.on_epoch({"epoch": 2})
    gallery.on_stop(None)
    folder = tmp_path / "run" / "samples"
    first, second = (folder / f"epoch-000{i}.png" for i in (1, 2))
    assert first.read_bytes() == second.read_bytes()
    with Image.open(first) as image:
        assert image.size == (78 * 8, 78 * 8)  # 8 × 8 pictures of 8 pixels, 2 between, times 8
    with Image.open(folder / "epochs.gif") as film:
        assert film.n_frames in (1, 2)  # Pillow joins equal frames
    assert told == [{"epoch": 1}, {"epoch": 2}]
    assert all(np.array_equal(state[k], v) for k, v in model.state_dict().items())
    assert model.training


def trained(name="gan"):
    model = game(name).eval()
    return Trained(None, model, None, KIND, (8, 8, 1), small.CLASSES, {"name": name})


def made(options, sample, seed=0, name="gan"):
    every = {**drawing.TASK.generator.options, **options}
    return list(drawing.TASK.generator.generate(trained(name), every, seed=seed, sample=sample))


def test_a_sample_is_the_same_however_many_there_are_and_others_differ():
    (one,), (again,), (other,), (seeded,) = made({}, 3), made({}, 3), made({}, 0), made({}, 3, 1)
    assert one.shape == (8, 8, 1)
    assert one.dtype == np.uint8
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert not np.array_equal(one, seeded)


def test_a_row_of_pictures_leads_from_one_sample_to_the_next():
    row = made({"interpolate": 5}, 1, name="dcgan")
    assert len(row) == 5
    ends = made({}, 2, name="dcgan"), made({}, 3, name="dcgan")
    for picture, (end,) in zip((row[0], row[-1]), ends, strict=True):
        assert np.abs(picture.astype(int) - end.astype(int)).max() <= 1


def test_codes_between_two_are_as_long_as_they_are():
    first, last = codes(0, [0, 1], 64)
    lengths = np.linalg.norm(drawing.between(first, last, 7), axis=1)
    low, high = sorted((np.linalg.norm(first), np.linalg.norm(last)))
    assert (lengths > 0.95 * low).all()
    assert (lengths < 1.05 * high).all()
    np.testing.assert_allclose(drawing.between(first, first, 3), [first] * 3, rtol=1e-6)


def test_a_class_is_drawn_by_its_name():
    assert drawing.TASK.generator.label(trained(), {"class": "right"}) == 1
    left, right = made({"class": "left"}, 4), made({"class": "right"}, 4)
    assert not np.array_equal(left, right)
    assert np.array_equal(made({"class": "right"}, 4), made({}, 4))  # the classes in turn
