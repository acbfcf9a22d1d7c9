"""Training autoencoders: they resume bit for bit, are measured, and say what an image's code is."""

import numpy as np
import pytest
from PIL import Image

from dlcli.data.picture_kind import KIND
from dlcli.errors import UsageError
from dlcli.models import autoencoder, gan, vae
from dlcli.train import drawing
from dlcli.train.loop import Interrupted
from dlcli.train.run import RunDir
from dlcli.train.task import Trained
from tests.train import small
from tests.train.outcomes import StopAt, outcome
from tests.train.test_adversarial import pictures

TINY = {"code": 3, "hidden": 9, "width": 2}
MODELS = {
    "autoencoder": (autoencoder, autoencoder.Config(**TINY)),
    "vae": (vae, vae.Config(**TINY, conditional=True)),
    "vae-dense": (vae, vae.Config(**TINY, form="dense", likelihood="gaussian")),
}
SETTINGS = {"monitor": "val_loss", "epochs": 2}


def coder(name, seed=0):
    module, config = MODELS[name]
    return module.build(config, (8, 8, 1), 3, seed=seed)


def trainer(path, name, seed=0, **more):
    return small.trainer(path, model=coder(name, seed), data=pictures(), **{**SETTINGS, **more})


def trained(model, name="vae"):
    data = pictures()
    return Trained(
        None, model.eval(), KIND.fit(data), KIND, data.shape, data.classes, {"name": name}
    )


@pytest.mark.parametrize("name", MODELS)
def test_one_that_is_stopped_and_resumed_is_bit_for_bit_one_that_never_stopped(tmp_path, name):
    trainer(tmp_path / "whole", name).fit()
    with pytest.raises(Interrupted):
        trainer(tmp_path / "cut", name, observer=StopAt(9)).fit()
    kept = RunDir.open(tmp_path / "cut").load("last")
    trainer(tmp_path / "cut", name, seed=5, resume=kept).fit()
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")


@pytest.mark.parametrize("name", MODELS)
def test_training_lowers_the_loss_of_images_that_it_has_not_seen(tmp_path, name):
    made = trainer(tmp_path / "run", name, epochs=6, lr=0.01)
    first = made.fit().best
    losses = [record["val_loss"] for record in RunDir.open(tmp_path / "run").metrics()]
    assert first["val_loss"] == min(losses) < losses[0]
    assert 0 < first["val_rmse"] < 0.5


def test_the_loss_of_a_vae_is_its_parts(tmp_path):
    last = trainer(tmp_path / "run", "vae").fit().last
    for part in ("", "val_"):
        both = last[f"{part}reconstruction"] + last[f"{part}kl"]
        assert last[f"{part}loss"] == pytest.approx(both, rel=1e-5)


def test_an_evaluation_does_not_depend_on_the_batch_size_and_moves_nothing():
    model = coder("vae")
    before = model.state_dict()
    found = [
        drawing.TASK.evaluate(trained(model), pictures(), "test", batch_size=n).figures
        for n in (3, 20)
    ]
    assert found[0].keys() == {"loss", "reconstruction", "kl", "rmse"}
    for name, value in found[0].items():
        assert found[1][name] == pytest.approx(value, rel=1e-5)
    assert all(np.array_equal(before[k], v) for k, v in model.state_dict().items())


@pytest.mark.parametrize("name", MODELS)
def test_an_image_has_a_code_and_a_distance_from_what_becomes_of_it(name):
    model, samples = coder(name), list(pictures().splits["test"].pixels[:3])
    found = trained(model)
    lines = drawing.TASK.predict(found, samples, {})
    for i, (line, sample) in enumerate(zip(lines, samples, strict=True)):
        codes, made, labels = model.recode(found.encode(sample[None]))
        assert line["code"] == pytest.approx(codes[0].tolist(), rel=1e-4, abs=1e-6)
        pixels = np.rint((made[0] + 1) * 127.5)
        away = np.sqrt(np.square((pixels - sample) / 255).mean())
        assert line["rmse"] == pytest.approx(away, rel=1e-3), i
        assert line.get("class") == (None if labels is None else small.CLASSES[labels[0]])


def test_a_game_has_no_codes_of_images():
    game = gan.build(gan.Config(hidden=(4,), noise=2), (8, 8, 1), 3)
    with pytest.raises(UsageError, match="gan cannot predict"):
        drawing.TASK.predict(trained(game, "gan"), [np.zeros((8, 8, 1), np.uint8)], {})


def test_a_class_is_drawn_where_the_model_has_classes_and_refused_elsewhere():
    maker = drawing.TASK.generator

    def draw(name, wanted):
        options = {**maker.options, "class": wanted}
        maker.check(trained(coder(name), name), options)
        return next(maker.generate(trained(coder(name), name), options, seed=0, sample=4))

    left, right = draw("vae", "left"), draw("vae", "right")
    assert left.shape == (8, 8, 1)
    assert not np.array_equal(left, right)
    np.testing.assert_array_equal(draw("vae", None), right)  # sample 4 is of class 4 % 3
    with pytest.raises(UsageError, match="--class does not apply"):
        draw("vae-dense", "left")


def test_an_autoencoder_says_where_its_codes_come_from_and_a_vae_need_not():
    said = [
        drawing.TASK.generator.check(trained(coder(name), name), {"class": None}) for name in MODELS
    ]
    assert "Gaussian with the mean" in said[0][0]
    assert said[1:] == [[], []]


def test_samples_are_drawn_after_every_epoch(tmp_path):
    run = RunDir.create("vae", "sides", out=tmp_path / "run")
    watcher = drawing.TASK.watcher(run, coder("vae"), pictures(), pytest.fail)
    watcher.on_epoch({"epoch": 1})
    with Image.open(tmp_path / "run" / "samples" / "epoch-0001.png") as image:
        assert image.size == (78 * 8, 78 * 8)
