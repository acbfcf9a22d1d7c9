"""Models adapt to the images and classes, are found by file name, and start from their seed."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcli.data import catalog as datasets
from dlcli.data import kind as kinds
from dlcli.engine.tape import no_grad
from dlcli.engine.tensor import Tensor
from dlcli.errors import CheckpointError, UsageError
from dlcli.models import catalog

NAMES = catalog.names()
OF_IMAGES = [name for name in NAMES if getattr(catalog.load(name), "KIND", "image") == "image"]


def build(name, shape, classes=10, seed=0, **settings):
    module = catalog.load(name)
    return module.build(module.Config(**settings), shape, classes, seed=seed)


def test_the_catalogue_finds_the_models_by_file_name():
    assert {"cnn", "cnn-small", "mlp"} <= set(NAMES)
    assert not {"catalog", "classifier"} & set(NAMES)
    for name in NAMES:
        info = catalog.describe(name)
        assert info.description
        assert info.notes


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(OF_IMAGES),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    channels=st.sampled_from([1, 3, 4]),
    classes=st.integers(1, 12),
)
def test_every_model_takes_images_of_any_size_and_any_number_of_classes(
    name, height, width, channels, classes
):
    model = build(name, (height, width, channels), classes)
    with no_grad():
        out = model(Tensor(np.ones((2, height, width, channels), np.float32)))
    assert out.shape == (2, classes)
    assert np.isfinite(out.data).all()


def test_the_cnn_has_the_parameters_of_its_description():
    sizes = {n: p.data.size for n, p in build("cnn", (28, 28, 1)).named_parameters().items()}
    assert sum(sizes.values()) == 320 + 18_496 + 36_928 + 36_928 + 650
    rows = catalog.summary(build("cnn", (28, 28, 1)), (28, 28, 1))
    maps = [(13, 13, 32), (5, 5, 64), (3, 3, 64), (576,), (64,), (10,)]
    assert [r.output for r in rows] == maps
    assert sum(r.parameters for r in rows) == 93_322


def test_a_model_is_a_function_of_its_seed():
    one, same, other = (build("cnn", (8, 8, 1), seed=s).state_dict() for s in (1, 1, 2))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert any(not np.array_equal(one[name], other[name]) for name in one)


def test_the_mlp_has_as_many_hidden_layers_as_asked_for():
    for hidden in ((), (5,), (7, 6, 5)):
        names = list(build("mlp", (4, 4, 1), hidden=hidden).named_parameters())
        assert len(names) == 2 * (len(hidden) + 1)


@pytest.mark.parametrize("name", ["mlp", "cnn", "cnn-small"])
def test_dropout_draws_anew_in_each_step_and_not_in_evaluation(name):
    model = build(name, (8, 8, 1), dropout=0.5)
    x = Tensor(np.random.default_rng(0).standard_normal((3, 8, 8, 1)).astype(np.float32))
    with no_grad():
        first, second = model(x).data, model(x).data
        model.eval()
        third, fourth = model(x).data, model(x).data
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(third, fourth)


def test_labels_are_smoothed_in_training_and_not_in_evaluation():
    model = build("mlp", (2, 2, 1), classes=3)
    rng = np.random.default_rng(0)
    batch = SimpleNamespace(
        x=rng.standard_normal((5, 2, 2, 1)).astype(np.float32), y=np.arange(5) % 3
    )
    (phase,) = model.phases()

    def loss(smoothing):
        model.label_smoothing = smoothing
        with no_grad():
            return phase.loss(batch)[0].item()

    assert loss(0.3) != loss(0.0)
    model.eval()
    assert loss(0.3) == loss(0.0)


def test_a_summary_leaves_the_mode_as_it_was_also_after_an_error():
    model = build("cnn", (8, 8, 1))
    for shape in ((8, 8, 1), (8, 8, 2)):
        try:
            catalog.summary(model, shape)
        except ValueError:
            assert shape[2] == 2
        assert all(module.training for _, module in model.modules())


def test_bad_settings_and_unknown_names_are_usage_errors_with_a_suggestion():
    for typo in ("cnm", "CNN"):
        with pytest.raises(UsageError) as error:
            catalog.load(typo)
        assert "did you mean 'cnn'" in error.value.hint
    for name, bad in (
        ("mlp", {"activation": "rely"}),
        ("mlp", {"hidden": (0,)}),
        ("cnn", {"channels": (1,)}),
        ("cnn-small", {"channels": 0}),
    ):
        with pytest.raises(UsageError):
            build(name, (8, 8, 1), **bad)


MODEL_FILE = '''
"""A model of one dense layer."""
from dataclasses import dataclass
from dlcli import nn
from dlcli.models.parts.classifier import Classifier

@dataclass(frozen=True)
class Config:
    bias: bool = True

def build(config, shape, classes, *, seed=0):
    size = shape[0] * shape[1] * shape[2]
    model = Classifier(nn.Flatten(), nn.Linear(size, classes, bias=config.bias))
    model.initialize(seed)
    return model
'''


def test_a_model_in_a_file_of_one_s_own_is_built_like_any_other(tmp_path):
    path = tmp_path / "my_model.py"
    path.write_text(MODEL_FILE)
    module = catalog.load_file(path)
    model = module.build(module.Config(bias=False), (2, 2, 1), 3, seed=0)
    assert list(model.named_parameters()) == ["1.weight"]


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_of_a_shipped_model_is_a_model_of_one_s_own(tmp_path, name):
    path = tmp_path / "my_model.py"
    path.write_bytes(Path(catalog.load(name).__file__).read_bytes())
    module = catalog.load_file(path)
    kind = kinds.of(getattr(module, "KIND", "image"))
    shape = datasets.describe(kind.shown, kind=kind).shape
    shape = tuple(min(extent, 64) for extent in shape)  # of a vocabulary
    model = module.build(module.Config(), shape, 3, seed=0)
    assert model.state_dict().keys() == build(name, shape, 3).state_dict().keys()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def build(:\n", "my_model.py:1"),
        ("x = 1\n", "not a model"),
        ("\nimport no_such_library\n", "my_model.py:2: ModuleNotFoundError"),
    ],
    ids=["broken syntax", "no model", "missing import"],
)
def test_a_file_that_is_no_model_is_refused_with_its_place(tmp_path, monkeypatch, text, message):
    path = tmp_path / "my_model.py"
    path.write_text(text)
    with pytest.raises(CheckpointError, match=message):
        catalog.load_file(path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=message):
        catalog.load_file(Path(path.name))
    with pytest.raises(CheckpointError, match="no such model file"):
        catalog.load_file(tmp_path / "missing.py")


def test_state_of_another_shape_is_refused_and_changes_nothing():
    model = build("cnn", (8, 8, 1))
    before = model.state_dict()
    wrong = {**before, "0.weight": np.zeros((1, 2, 3), np.float32)}
    wrong.pop("0.bias")
    with pytest.raises(ValueError, match=r"0\.weight is .*missing 0\.bias"):
        model.load_state_dict(wrong)
    after = model.state_dict()
    assert all(np.array_equal(before[name], after[name]) for name in before)
