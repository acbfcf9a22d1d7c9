"""Saliency, Grad-CAM and occlusion: by finite differences, by hand, and against PyTorch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcli import nn
from dlcli.engine import tape
from dlcli.engine.tensor import on_device
from dlcli.nn import attribution
from dlcli.nn.attribution import Patches

from .torch_pair import copy_weights, to_torch

SIDE, CLASSES = 9, 4
RNG = np.random.default_rng(5)
IMAGE = RNG.normal(size=(SIDE, SIDE, 2))


def small(pool=None, dtype=np.float64):
    """Two convolutions and a dense layer; the last convolution pools, or does not."""
    last = nn.Conv2d(5, 6, 3, act="relu", pool=pool)
    cells = 25 if pool is None else 4
    head = nn.Linear(6 * cells, CLASSES)
    model = nn.Sequential(nn.Conv2d(2, 5, 3, act="relu"), last, nn.Flatten(), head)
    model.initialize(1)
    return model.astype(dtype).eval()


def score(model, x, number):
    with tape.no_grad():
        return model.forward(on_device(x[None])).numpy()[0, number]


def test_saliency_is_the_steepest_finite_difference_of_each_pixel():
    model, step = small(), 1e-6
    found = attribution.saliency(model, IMAGE, 2)
    assert found.shape == (SIDE, SIDE)
    for row, column in ((0, 0), (4, 4), (8, 3)):
        slopes = []
        for channel in range(2):
            moved = np.zeros_like(IMAGE)
            moved[row, column, channel] = step
            change = score(model, IMAGE + moved, 2) - score(model, IMAGE - moved, 2)
            slopes.append(abs(change) / (2 * step))
        assert found[row, column] == pytest.approx(max(slopes), rel=1e-5, abs=1e-9)


def test_nothing_is_left_on_the_tape_and_no_weight_gets_a_gradient():
    model = small()
    attribution.saliency(model, IMAGE, 0)
    attribution.grad_cam(model, IMAGE, 0)
    attribution.occlusion(model, IMAGE, 0)
    assert tape._tape == []
    assert all(p.grad is None for p in model.named_parameters().values())


def test_grad_cam_weighs_maps_by_what_the_score_gains_by_them():
    """Of a convolution that hands its channels on, and a score that is linear in them."""
    model = nn.Sequential(nn.Conv2d(2, 2, 1), nn.Flatten(), nn.Linear(8, 1)).astype(np.float64)
    conv, _, head = model.layers
    conv.weight.write(np.eye(2).reshape(2, 1, 1, 2))
    conv.bias.write(np.zeros(2))
    head.weight.write(np.tile([3.0, -1.0], 4)[None])
    x = np.array([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [0.0, 0.0]]])
    found = attribution.grad_cam(model, x, 0)
    np.testing.assert_allclose(found, [[3.0, 0.0], [2.0, 0.0]])


def test_a_model_without_a_convolution_has_no_grad_cam():
    model = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE * 2, CLASSES)).astype(np.float64)
    assert not attribution.has_convolution(model)
    assert attribution.has_convolution(small())
    with pytest.raises(ValueError, match="no convolution"):
        attribution.grad_cam(model, IMAGE, 0)
    assert tape._tape == []


class Corner:
    """Two classes; the logit of the second is the pixel in the upper left corner."""

    def forward(self, x):
        seen = x.numpy()[:, 0, 0, 0]
        return on_device(np.stack([0 * seen, seen], axis=1))


def test_what_is_lost_by_covering_the_only_pixel_that_counts():
    x = np.zeros((5, 6, 1))
    x[0, 0] = 2.0
    seen = []
    found = attribution.occlusion(Corner(), x, 1, side=2, on_batch=lambda *a: seen.append(a))
    lost = 1 / (1 + np.exp(-2.0)) - 0.5
    assert found[0, 0] == pytest.approx(lost)
    assert found[0, 1] == pytest.approx(lost / 2)  # of two patches that cover it, one has the pixel
    np.testing.assert_array_equal(found[2:], 0)
    np.testing.assert_array_equal(found[:, 2:], 0)
    assert seen == [(20, 20)]
    assert x[0, 0] == 2.0


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.none() | st.integers(1, 60))
def test_the_patches_lie_in_the_image_and_cover_all_of_it(height, width, side):
    patches = Patches.of(height, width, side)
    seen = np.zeros((height, width), bool)
    for top, left in zip(patches.tops, patches.lefts, strict=True):
        part = seen[top : top + patches.side, left : left + patches.side]
        assert part.shape == (patches.side, patches.side)
        part[:] = True
    assert seen.all()


# --- against PyTorch ------------------------------------------------------------------------------


@pytest.mark.oracle
@pytest.mark.parametrize("pool", [None, 2])
def test_all_three_are_those_of_pytorch_on_equal_weights(pool):
    torch = pytest.importorskip("torch")
    T = torch.nn
    model = small(pool)

    class Last(T.Module):  # flattens as ours: channels last
        def forward(self, x):
            return x.permute(0, 2, 3, 1).flatten(1)

    pooled = [T.MaxPool2d(pool)] if pool else []
    body = T.Sequential(T.Conv2d(2, 5, 3), T.ReLU(), T.Conv2d(5, 6, 3), T.ReLU(), *pooled)
    head = T.Sequential(Last(), T.Linear(6 * (25 if pool is None else 4), CLASSES))
    theirs = T.Sequential(body, head).double()
    copy_weights(model, theirs, torch)
    brightest = 0.0
    for number in range(CLASSES):
        x = to_torch(IMAGE[None], torch).requires_grad_()
        maps = body(x)
        maps.retain_grad()
        head(maps)[0, number].backward()
        slope = x.grad[0].abs().amax(0).numpy()
        np.testing.assert_allclose(attribution.saliency(model, IMAGE, number), slope, rtol=1e-9)
        weights = maps.grad[0].mean((1, 2))
        cam = torch.relu((weights[:, None, None] * maps[0]).sum(0)).detach().numpy()
        found = attribution.grad_cam(model, IMAGE, number)
        np.testing.assert_allclose(found, cam, rtol=1e-9, atol=1e-12)
        brightest = max(brightest, cam.max())
    assert brightest > 0
    with torch.no_grad():
        before = theirs(x).softmax(1)[0, 3]
        covered = x.clone()
        covered[:, :, :SIDE, :SIDE] = 0
        lost = float(before - theirs(covered).softmax(1)[0, 3])
    found = attribution.occlusion(model, IMAGE, 3, side=SIDE)
    np.testing.assert_allclose(found, lost, rtol=1e-9)
