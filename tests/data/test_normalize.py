"""Normalisation: exact moments, a correctly rounded table, and a form that JSON carries."""

import json

import numpy as np
import pytest

from dlcli.data import normalize
from dlcli.data.dataset import ArraySplit
from dlcli.data.normalize import Normalize
from dlcli.errors import CheckpointError


def split(pixels: np.ndarray) -> ArraySplit:
    return ArraySplit("train", pixels, np.zeros(len(pixels), np.int64))


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (37, 5, 4, 3)).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_fit_agrees_with_numpy_in_float64(pixels, channels):
    fitted = Normalize.fit(split(pixels[..., :channels]))
    scaled = pixels[..., :channels].reshape(-1, channels) / 255.0
    np.testing.assert_allclose(fitted.mean, scaled.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(fitted.std, scaled.std(axis=0), rtol=1e-12)


def test_fit_does_not_depend_on_how_the_images_are_chunked(pixels, monkeypatch):
    whole = Normalize.fit(split(pixels))
    monkeypatch.setattr(normalize, "CHUNK_BYTES", 100)
    assert Normalize.fit(split(pixels)) == whole


@pytest.mark.parametrize("channels", [1, 3])
def test_the_result_is_the_float64_formula_rounded_once(pixels, channels):
    x = pixels[..., :channels]
    fitted = Normalize.fit(split(x))
    y = fitted(x)
    assert y.dtype == np.float32
    assert y.flags.c_contiguous
    np.testing.assert_array_equal(y, ((x / 255.0 - fitted.mean) / fitted.std).astype(np.float32))


def test_normalised_training_data_have_mean_0_and_variance_1(pixels):
    y = Normalize.fit(split(pixels))(pixels).reshape(-1, 3).astype(np.float64)
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(y.std(axis=0), 1, atol=1e-6)


def test_a_channel_that_never_varies_becomes_zero(pixels):
    pixels[..., 1] = 200
    fitted = Normalize.fit(split(pixels))
    assert fitted.std[1] == 1.0
    np.testing.assert_allclose(fitted(pixels)[..., 1], 0, atol=1e-6)


def test_json_carries_it_without_loss(pixels):
    fitted = Normalize.fit(split(pixels))
    again = Normalize.from_json(json.loads(json.dumps(fitted.to_json())))
    assert again == fitted
    np.testing.assert_array_equal(again(pixels), fitted(pixels))


@pytest.mark.parametrize(
    "stored",
    [
        None,
        [],
        {},
        {"mean": [0.5]},
        {"mean": [], "std": []},
        {"mean": [0.5], "std": [0.0]},
        {"mean": [0.5], "std": [-1.0]},
        {"mean": [float("nan")], "std": [1.0]},
        {"mean": [0.5], "std": [float("inf")]},
        {"mean": [0.5, 0.5], "std": [1.0]},
        {"mean": ["0.5"], "std": [1.0]},
        {"mean": [[0.5]], "std": [[1.0]]},
        {"mean": [10**400], "std": [1.0]},
        {"mean": [0.0], "std": [1e-300]},
        {"mean": [0.0], "std": [5e-324]},
        {"mean": 0.5, "std": 1.0},
    ],
)
def test_a_damaged_record_is_a_checkpoint_error(stored):
    with pytest.raises(CheckpointError, match="normalisation is damaged"):
        Normalize.from_json(stored)


def test_other_dtypes_and_channels_are_refused(pixels):
    fitted = Normalize.fit(split(pixels))
    with pytest.raises(ValueError, match="uint8"):
        fitted(pixels.astype(np.float32))
    with pytest.raises(ValueError, match="3"):
        fitted(pixels[..., :1])


def test_an_empty_part_has_no_mean():
    with pytest.raises(ValueError, match="empty"):
        Normalize.fit(split(np.zeros((0, 2, 2, 1), np.uint8)))
