"""Pooling: against loops, adjoint identities and PyTorch; ties, NaN, infinity; what is refused."""

import numpy as np
import pytest
from dlcli_kernels import check, registry
from dlcli_kernels.launch import Launch
from dlcli_kernels.spec import Spec, case

NONE = ((0, 0), (0, 0))
# height, width, window, stride, padding
GEOMETRIES = [
    (6, 6, (2, 2), (2, 2), NONE),
    (7, 5, (2, 2), (2, 2), NONE),
    (5, 7, (3, 3), (2, 2), ((1, 1), (1, 1))),
    (5, 5, (3, 3), (1, 1), ((1, 1), (1, 1))),
    (6, 5, (2, 3), (1, 2), ((0, 1), (2, 0))),
    (9, 8, (2, 2), (3, 4), NONE),
    (4, 4, (4, 4), (2, 2), ((3, 3), (3, 3))),
]
SYMMETRIC = [g for g in GEOMETRIES if all(a == b for a, b in g[4])]  # what PyTorch can say
ALL = pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
MAXPOOL = registry.op("maxpool2d")
MAXPOOL_VARIANTS = [*registry.variants(MAXPOOL, "cpu"), registry.variant(MAXPOOL, "reference")]


def run(name, *ins, optional=True, rows=None, **attrs):
    """The outputs of the variant that runs by default on the CPU; not in a list if it is one."""
    op, specs = registry.op(name), [Spec.of(a) for a in ins]
    variant = registry.resolve(op, "cpu", specs, attrs)
    launch = Launch(op, variant, specs, attrs, optional=optional, rows=rows)
    outs = launch.allocate(lambda s: np.full(s.shape, 77, s.dtype))
    launch.run(outs, ins)
    return outs if len(outs) > 1 else outs[0]


def attributes(geometry, **more):
    return dict(zip(("window", "stride", "padding"), geometry[2:], strict=True)) | more


def windows_of(x, window, stride, padding):
    """(n, p, q, c, [(k, value) …]) of every window, without its padding, by index arithmetic."""
    (rows, columns), (sh, sw), ((top, bottom), (left, right)) = window, stride, padding
    images, h, w, channels = x.shape
    for n, c in np.ndindex(images, channels):
        for p, i in enumerate(range(-top, h + bottom - rows + 1, sh)):
            for q, j in enumerate(range(-left, w + right - columns + 1, sw)):
                elements = [
                    (r * columns + s, x[n, i + r, j + s, c])
                    for r in range(rows)
                    for s in range(columns)
                    if 0 <= i + r < h and 0 <= j + s < w
                ]
                yield n, p, q, c, elements


@ALL
def test_a_maximum_and_its_index_are_those_of_a_loop_over_the_window(geometry):
    x = np.random.default_rng(1).integers(-4, 3, (2, *geometry[:2], 3)).astype(np.float64)
    attrs = attributes(geometry)
    references = registry.op("maxpool2d").reference(x, **attrs)
    for out, argmax in (references, run("maxpool2d", x, **attrs)):
        seen = 0
        for n, p, q, c, elements in windows_of(x, **attrs):
            k, value = max(elements, key=lambda e: (e[1], -e[0]))  # the first of equal ones
            assert out[n, p, q, c] == value
            assert argmax[n, p, q, c] == k
            seen += 1
        assert seen == out.size


@ALL
@pytest.mark.parametrize("include", [True, False])
def test_an_average_is_that_of_a_loop_over_the_window(geometry, include):
    x = np.random.default_rng(2).standard_normal((2, *geometry[:2], 3))
    attrs = attributes(geometry)
    for op in (check.call_references, run):
        out = op("avgpool2d", x, **attrs, count_include_pad=include)
        for n, p, q, c, elements in windows_of(x, **attrs):
            count = np.prod(geometry[2]) if include else len(elements)
            want = sum(v for _, v in elements) / count
            assert out[n, p, q, c] == pytest.approx(want, rel=1e-12, abs=1e-14)


@ALL
def test_the_backward_of_maximum_pooling_is_the_transpose_of_gathering(geometry):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((3, *geometry[:2], 5))
    attrs = attributes(geometry)
    out, argmax = run("maxpool2d", x, **attrs)
    assert np.array_equal(run("maxpool2d_gather", x, argmax, **attrs), out)
    y, other = rng.standard_normal(out.shape), rng.standard_normal(x.shape)
    spread = run("maxpool2d_grad", y, argmax, x_shape=x.shape, **attrs)
    gathered = run("maxpool2d_gather", other, argmax, **attrs)
    assert np.sum(gathered * y) == pytest.approx(np.sum(other * spread), rel=1e-12)


@ALL
@pytest.mark.parametrize("include", [True, False])
def test_the_backward_of_average_pooling_is_its_transpose(geometry, include):
    rng = np.random.default_rng(4)
    x = rng.standard_normal((3, *geometry[:2], 5))
    attrs = attributes(geometry, count_include_pad=include)
    out = run("avgpool2d", x, **attrs)
    y = rng.standard_normal(out.shape)
    spread = run("avgpool2d_grad", y, x_shape=x.shape, **attrs)
    assert np.sum(out * y) == pytest.approx(np.sum(x * spread), rel=1e-12)


def hostile(shape, geometry, kind):
    """A case whose images hold ties, NaN or infinities."""

    def make(rng, dtype):
        x = rng.integers(0, 2, shape).astype(dtype)
        if kind == "nan":
            x[rng.random(shape) < 0.3] = np.nan
        elif kind == "infinite":
            x = rng.choice([-np.inf, -np.inf, 1.0, np.inf], shape).astype(dtype)
        elif kind == "all −inf":
            x[...] = -np.inf
        return {"x": x}

    return case(kind, make=make, **attributes(geometry))


@pytest.mark.parametrize("kind", ["ties", "nan", "infinite", "all −inf"])
@pytest.mark.parametrize("variant", MAXPOOL_VARIANTS, ids=lambda v: v.name)
def test_ties_nans_and_infinities_are_those_of_the_reference(variant, kind):
    for geometry in GEOMETRIES:
        for precision in ("float32", "float64"):
            images = hostile((4, *geometry[:2], 19), geometry, kind)
            result = check.verify(MAXPOOL, variant, images, precision, seed=5)
            assert result.ok, str(result)


def test_of_nans_the_last_is_chosen_and_of_equal_elements_the_first():
    x = np.array([[1.0, np.nan], [np.nan, 2.0]]).reshape(1, 2, 2, 1)
    out, argmax = run("maxpool2d", x, window=(2, 2), stride=(2, 2), padding=NONE)
    assert np.isnan(out.item())
    assert argmax.item() == 2
    out, argmax = run("maxpool2d", x * 0 + 5.0, window=(2, 1), stride=(1, 1), padding=NONE)
    assert np.array_equal(argmax.ravel(), [1, 0])
    x[...] = 5.0
    assert run("maxpool2d", x, window=(2, 2), stride=(2, 2), padding=NONE)[1].item() == 0


def test_padding_is_never_chosen_even_where_the_image_is_minus_infinity():
    x = np.full((1, 2, 2, 1), -np.inf)
    attrs = {"window": (2, 2), "stride": (1, 1), "padding": ((1, 1), (1, 1))}
    out, argmax = run("maxpool2d", x, **attrs)
    assert np.isneginf(out).all()
    assert argmax[0, :, :, 0].tolist() == [[3, 2, 2], [1, 0, 0], [1, 0, 0]]
    dx = run("maxpool2d_grad", np.ones_like(out), argmax, x_shape=x.shape, **attrs)
    assert dx.sum() == out.size


def test_an_argmax_outside_the_window_moves_nothing_out_of_bounds():
    argmax = np.full((1, 2, 2, 3), 200, np.uint8)
    attrs = {"x_shape": (1, 4, 4, 3), "window": (2, 2), "stride": (2, 2), "padding": NONE}
    assert not run("maxpool2d_grad", np.ones(argmax.shape), argmax, **attrs).any()


def test_a_backward_kernel_takes_the_number_of_images_from_its_range():
    geometry = GEOMETRIES[2]
    x = np.random.default_rng(6).standard_normal((7, *geometry[:2], 2))
    attrs = attributes(geometry)
    out, argmax = run("maxpool2d", x, **attrs)
    whole = run("maxpool2d_grad", out, argmax, x_shape=x.shape, **attrs)
    pieces = run("maxpool2d_grad", out, argmax, rows=2, x_shape=x.shape, **attrs)
    assert np.array_equal(whole, pieces)


def test_the_global_average_is_a_mean_over_height_and_width():
    x = np.random.default_rng(7).standard_normal((3, 5, 4, 6))
    want = [[np.mean(x[n, :, :, c]) for c in range(6)] for n in range(3)]
    op = registry.op("global_avgpool")
    np.testing.assert_allclose(run("global_avgpool", x), want, rtol=1e-13)
    np.testing.assert_allclose(op.decompose(check.call_references, x), want, rtol=1e-13)


@pytest.mark.parametrize(
    ("shape", "window", "stride", "padding", "message"),
    [
        ((1, 4, 4, 1), (5, 2), (1, 1), NONE, "does not fit an image"),
        ((1, 4, 4, 1), (2, 2), (0, 1), NONE, "must be positive"),
        ((1, 4, 4, 1), (2, 2), (1, 1), ((2, 0), (0, 0)), "less than the window"),
        ((1, 4, 4, 1), (2, 2), (1, 1), ((-1, 0), (0, 0)), "less than the window"),
        ((1, 0, 4, 1), (2, 2), (1, 1), ((1, 1), (1, 1)), "does not fit an image"),
        ((1, 40, 40, 1), (16, 17), (1, 1), NONE, "at most 256 elements"),
    ],
)
def test_a_geometry_without_a_meaning_is_refused(shape, window, stride, padding, message):
    spec = Spec(shape, np.dtype(np.float32))
    with pytest.raises(ValueError, match=message):
        registry.op("maxpool2d").infer(spec, window=window, stride=stride, padding=padding)


def test_a_gradient_of_another_shape_than_the_pooled_images_is_refused():
    dout, argmax = Spec((2, 3, 3, 1), np.dtype(np.float32)), Spec((2, 3, 3, 1), np.dtype(np.uint8))
    attrs = {"x_shape": (2, 4, 4, 1), "window": (2, 2), "stride": (2, 2), "padding": NONE}
    with pytest.raises(ValueError, match="gives"):
        registry.op("maxpool2d_grad").infer(dout, argmax, **attrs)


# --- PyTorch --------------------------------------------------------------------------------------


def to_torch(torch, x):
    return torch.tensor(np.ascontiguousarray(x.transpose(0, 3, 1, 2)), requires_grad=True)


def to_nhwc(tensor):
    return tensor.detach().numpy().transpose(0, 2, 3, 1)


def flat_index(argmax, geometry):
    """PyTorch's index into the flattened image, from the index within the window."""
    _, w, window, stride, padding = geometry
    p, q = np.arange(argmax.shape[1]), np.arange(argmax.shape[2])
    r, s = np.divmod(argmax.astype(int), window[1])
    i = p[:, None, None] * stride[0] - padding[0][0] + r
    return i * w + q[:, None] * stride[1] - padding[1][0] + s


@pytest.mark.oracle
@pytest.mark.parametrize("kind", ["normal", "ties", "nan"])
@pytest.mark.parametrize("geometry", [g for g in SYMMETRIC if 2 * g[4][0][0] <= g[2][0]], ids=str)
def test_maximum_pooling_its_indices_and_gradient_are_those_of_pytorch(geometry, kind):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(8)
    x = rng.standard_normal((3, *geometry[:2], 5))
    if kind != "normal":
        x = np.round(x)
    if kind == "nan":
        x[rng.random(x.shape) < 0.2] = np.nan
    t = to_torch(torch, x)
    padding = (geometry[4][0][0], geometry[4][1][0])
    y, index = torch.nn.functional.max_pool2d(
        t, geometry[2], geometry[3], padding, return_indices=True
    )
    out, argmax = run("maxpool2d", x, **attributes(geometry))
    assert np.array_equal(out, to_nhwc(y), equal_nan=True)
    assert np.array_equal(flat_index(argmax, geometry), to_nhwc(index))
    dout = rng.standard_normal(out.shape)
    y.backward(to_torch(torch, dout).detach())
    dx = run("maxpool2d_grad", dout, argmax, x_shape=x.shape, **attributes(geometry))
    np.testing.assert_allclose(dx, to_nhwc(t.grad), rtol=1e-13, atol=1e-13)


@pytest.mark.oracle
@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize("geometry", [g for g in SYMMETRIC if 2 * g[4][0][0] <= g[2][0]], ids=str)
def test_average_pooling_and_its_gradient_are_those_of_pytorch(geometry, include):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(9)
    x = rng.standard_normal((3, *geometry[:2], 5))
    t = to_torch(torch, x)
    padding = (geometry[4][0][0], geometry[4][1][0])
    y = torch.nn.functional.avg_pool2d(
        t, geometry[2], geometry[3], padding, count_include_pad=include
    )
    attrs = attributes(geometry, count_include_pad=include)
    out = run("avgpool2d", x, **attrs)
    np.testing.assert_allclose(out, to_nhwc(y), rtol=1e-12, atol=1e-14)
    dout = rng.standard_normal(out.shape)
    y.backward(to_torch(torch, dout).detach())
    dx = run("avgpool2d_grad", dout, x_shape=x.shape, **attrs)
    np.testing.assert_allclose(dx, to_nhwc(t.grad), rtol=1e-12, atol=1e-14)
