"""Upsampling and reflection padding against loops, PyTorch, and their transposes."""

import numpy as np
import pytest
from dlcli_kernels import registry
from dlcli_kernels.launch import Launch
from dlcli_kernels.resample import taps
from dlcli_kernels.spec import Spec
from hypothesis import given, settings
from hypothesis import strategies as st

KINDS = ["reference", "default"]
NEAREST, BILINEAR, REFLECT = "upsample_nearest", "upsample_bilinear", "pad_reflect"


def run(kind, name, x, rows=None, **attrs):
    """The output of an op by its reference or by the variant that runs by default."""
    op, specs = registry.op(name), [Spec.of(x)]
    if kind == "reference":
        variant = registry.variant(op, "reference")
    else:
        variant = registry.resolve(op, "cpu", specs, attrs)
        assert variant.name == "cpu_numba"
    launch = Launch(op, variant, specs, attrs, rows=rows)
    (out,) = launch.allocate(lambda s: np.full(s.shape, np.nan, s.dtype))
    launch.run([out], [x])
    return out


def images(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


# --- loops ----------------------------------------------------------------------------------------

EXTENT, FACTOR = st.integers(1, 5), st.integers(1, 4)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(EXTENT, EXTENT, FACTOR, FACTOR, st.sampled_from(KINDS))
def test_nearest_repeats_each_pixel(h, w, fh, fw, kind):
    x = images(2, h, w, 3)
    out = run(kind, NEAREST, x, factor=(fh, fw))
    assert out.shape == (2, h * fh, w * fw, 3)
    for p, q in np.ndindex(h * fh, w * fw):
        np.testing.assert_array_equal(out[:, p, q], x[:, p // fh, q // fw])


@settings(max_examples=20, deadline=None, derandomize=True)
@given(EXTENT, EXTENT, FACTOR, FACTOR, st.sampled_from(KINDS))
def test_bilinear_lies_on_the_lines_between_the_centres_of_pixels(h, w, fh, fw, kind):
    """np.interp draws the lines, and goes on with the outermost value."""
    x = images(1, h, w, 2)
    rows = (np.arange(h * fh) + 0.5) / fh - 0.5
    columns = (np.arange(w * fw) + 0.5) / fw - 0.5
    lines = np.apply_along_axis(lambda v: np.interp(rows, np.arange(h), v), 1, x)
    want = np.apply_along_axis(lambda v: np.interp(columns, np.arange(w), v), 2, lines)
    out = run(kind, BILINEAR, x, factor=(fh, fw))
    np.testing.assert_allclose(out, want, rtol=1e-12, atol=1e-14)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(EXTENT, EXTENT, st.data(), st.sampled_from(KINDS))
def test_reflection_is_that_of_numpy(h, w, data, kind):
    padding = tuple(
        (data.draw(st.integers(0, n - 1)), data.draw(st.integers(0, n - 1))) for n in (h, w)
    )
    x = images(2, h, w, 3)
    want = np.pad(x, ((0, 0), *padding, (0, 0)), mode="reflect")
    np.testing.assert_array_equal(run(kind, REFLECT, x, padding=padding), want)


# --- PyTorch --------------------------------------------------------------------------------------


@pytest.mark.oracle
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("factor", [(2, 2), (3, 1), (4, 5)])
def test_upsampling_and_its_gradient_follow_pytorch(factor, mode, kind):
    torch = pytest.importorskip("torch")
    x, dout = images(2, 4, 3, 5), images(2, 4 * factor[0], 3 * factor[1], 5, seed=1)
    tensor = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
    extra = {"align_corners": False} if mode == "bilinear" else {}
    want = torch.nn.functional.interpolate(tensor, scale_factor=factor, mode=mode, **extra)
    want.backward(torch.tensor(dout.transpose(0, 3, 1, 2)))
    out = run(kind, f"upsample_{mode}", x, factor=factor)
    dx = run(kind, f"upsample_{mode}_grad", dout, factor=factor)
    np.testing.assert_allclose(out.transpose(0, 3, 1, 2), want.detach(), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(dx.transpose(0, 3, 1, 2), tensor.grad, rtol=1e-12, atol=1e-13)


@pytest.mark.oracle
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("padding", [((1, 1), (1, 1)), ((3, 0), (2, 3)), ((3, 3), (3, 3))])
def test_reflection_and_its_gradient_follow_pytorch(padding, kind):
    torch = pytest.importorskip("torch")
    x = images(2, 4, 4, 3)
    tensor = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
    want = torch.nn.functional.pad(tensor, (*padding[1], *padding[0]), mode="reflect")
    dout = images(2, *want.shape[2:], 3, seed=1)
    want.backward(torch.tensor(dout.transpose(0, 3, 1, 2)))
    out = run(kind, REFLECT, x, padding=padding)
    dx = run(kind, f"{REFLECT}_grad", dout, padding=padding)
    np.testing.assert_array_equal(out.transpose(0, 3, 1, 2), want.detach().numpy())
    np.testing.assert_allclose(dx.transpose(0, 3, 1, 2), tensor.grad, rtol=1e-13, atol=1e-13)


# --- what transposes must satisfy -----------------------------------------------------------------

MAPS = [
    (NEAREST, {"factor": (3, 2)}),
    (BILINEAR, {"factor": (3, 2)}),
    (REFLECT, {"padding": ((2, 3), (1, 0))}),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "attrs"), MAPS)
def test_a_gradient_is_the_transpose_of_its_map(name, attrs, kind):
    """⟨A x, y⟩ = ⟨x, Aᵀ y⟩."""
    x = images(2, 5, 4, 3)
    out = run(kind, name, x, **attrs)
    y = images(*out.shape, seed=1)
    back = run(kind, f"{name}_grad", y, **attrs)
    assert back.shape == x.shape
    np.testing.assert_allclose(np.sum(out * y), np.sum(x * back), rtol=1e-11)


@pytest.mark.parametrize("name", [NEAREST, BILINEAR])
def test_a_flat_image_stays_flat_and_its_gradient_counts_every_pixel(name):
    x = np.full((1, 3, 4, 2), 7.0)
    np.testing.assert_array_equal(run("default", name, x, factor=(2, 3)), np.full((1, 6, 12, 2), 7))
    ones = np.ones((1, 6, 12, 2))
    assert run("default", f"{name}_grad", ones, factor=(2, 3)).sum() == pytest.approx(ones.size)


@pytest.mark.parametrize(("name", "attrs"), MAPS)
def test_the_result_does_not_depend_on_how_the_work_is_cut(name, attrs):
    x = images(7, 5, 4, 3).astype(np.float32)
    whole = run("default", name, x, **attrs)
    for rows in (1, 2, 5):
        np.testing.assert_array_equal(run("default", name, x, rows=rows, **attrs), whole)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [NEAREST, BILINEAR])
def test_a_nan_stays_in_its_image_channel_and_neighbourhood(name, kind):
    x = images(2, 5, 5, 3)
    x[1, 2, 2, 0] = np.nan
    out = run(kind, name, x, factor=(2, 2))
    where = np.argwhere(np.isnan(out))
    assert {tuple(w[[0, 3]]) for w in where} == {(1, 0)}
    reach = 0 if name == NEAREST else 1
    assert where[:, 1].min() == where[:, 2].min() == 4 - reach
    assert where[:, 1].max() == where[:, 2].max() == 5 + reach


def test_weights_of_every_output_add_to_one_and_lie_inside():
    for extent in range(1, 6):
        for factor in range(1, 6):
            indices, weights = taps.bilinear(extent, factor)
            np.testing.assert_allclose(weights.sum(1), 1.0)
            assert weights.min() >= 0
            assert indices.min() >= 0
            assert indices.max() < extent


@pytest.mark.parametrize(
    ("name", "shape", "attrs", "message"),
    [
        (NEAREST, (2, 3, 3), {"factor": (2, 2)}, "N, H, W, C"),
        (BILINEAR, (2, 3, 3, 1), {"factor": (0, 2)}, "positive factors"),
        (f"{NEAREST}_grad", (2, 5, 4, 1), {"factor": (2, 2)}, "not an image enlarged"),
        (REFLECT, (2, 3, 4, 1), {"padding": ((3, 0), (0, 0))}, "not below the extent, 3"),
        (REFLECT, (2, 3, 4, 1), {"padding": ((0, 0), (0, -1))}, "not below the extent, 4"),
        (f"{REFLECT}_grad", (2, 5, 4, 1), {"padding": ((2, 2), (0, 0))}, "the extent, 1"),
        (REFLECT, (2, 3, 4), {"padding": ((1, 0), (0, 0))}, "N, H, W, C"),
    ],
)
def test_what_cannot_be_resampled_is_refused(name, shape, attrs, message):
    with pytest.raises(ValueError, match=message):
        registry.op(name).infer(Spec(shape, np.dtype(np.float32)), **attrs)
