"""Embedding: rows by their ids and the gradient of the table, against loops and PyTorch."""

import numpy as np
import pytest
from dlcli_kernels import check, emulate, raw, registry
from dlcli_kernels.launch import Launch
from dlcli_kernels.spec import Spec

INT64 = np.dtype(np.int64)


def run(name, *ins, **attrs):
    """The output of the variant that runs by default on the CPU, or a tuple of several."""
    op = registry.op(name)
    specs = [Spec.of(a) for a in ins]
    variant = registry.resolve(op, "cpu", specs, attrs)
    launch = Launch(op, variant, specs, attrs)
    outs = launch.allocate(lambda s: np.full(s.shape, -77, s.dtype))
    launch.run(outs, ins)
    return outs[0] if len(outs) == 1 else tuple(outs)


BOTH = pytest.mark.parametrize("call", [run, check.call_references], ids=["variant", "reference"])


def table_and_ids(seed, v, d, *shape):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((v, d)), rng.integers(0, v, shape)


@BOTH
@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (2, 0), (2, 2, 2)])
def test_each_id_gives_its_row_of_the_table(call, shape):
    table, ids = table_and_ids(1, 7, 4, *shape)
    out = call("embedding", table, ids)
    assert out.shape == (*shape, 4)
    for at in np.ndindex(*shape):
        assert out[at].tolist() == table[ids[at]].tolist()


@BOTH
@pytest.mark.parametrize("bad", [-1, 3, 4, 2**40, -(2**63)])
def test_an_id_outside_the_table_gives_nan_and_not_what_lies_beside_it(call, bad):
    memory = np.arange(20.0).reshape(5, 4)
    out = call("embedding", memory[1:4], np.array([0, bad, 2]))
    assert out[0].tolist() == memory[1].tolist()
    assert np.isnan(out[1]).all()
    assert out[2].tolist() == memory[3].tolist()


@BOTH
@pytest.mark.parametrize("bad", [-1, 3, 4, 2**40, -(2**63)])
def test_an_id_outside_the_table_has_no_gradient(call, bad):
    dout = np.array([[1.0, 2.0], [np.nan, np.inf], [3.0, 4.0]])
    dtable = call("embedding_grad", dout, np.array([0, bad, 0]), rows=3)
    assert dtable.tolist() == [[4.0, 6.0], [0.0, 0.0], [0.0, 0.0]]


@BOTH
def test_the_gradient_of_a_row_is_the_sum_over_the_positions_of_its_id(call):
    _, ids = table_and_ids(2, 5, 3, 4, 6)
    dout = np.random.default_rng(3).standard_normal((4, 6, 3))
    want = np.zeros((5, 3))
    for at in np.ndindex(4, 6):
        want[ids[at]] += dout[at]
    np.testing.assert_allclose(call("embedding_grad", dout, ids, rows=5), want, rtol=1e-14)


@BOTH
def test_the_gradient_is_the_transpose_of_the_lookup(call):
    """⟨lookup(table), dout⟩ = ⟨table, dtable⟩: the lookup is linear in the table."""
    table, ids = table_and_ids(4, 9, 5, 7, 3)
    dout = np.random.default_rng(5).standard_normal((7, 3, 5))
    dtable = call("embedding_grad", dout, ids, rows=9)
    inner = np.sum(call("embedding", table, ids) * dout)
    assert np.sum(table * dtable) == pytest.approx(inner, rel=1e-12)


@BOTH
def test_padding_is_read_like_any_row_and_never_given_a_gradient(call):
    table, ids = table_and_ids(6, 4, 3, 20)
    assert 2 in ids
    out = call("embedding", table, ids, padding=2)
    np.testing.assert_array_equal(out, table[ids])
    dout = np.random.default_rng(7).standard_normal((20, 3))
    every, but_padding = (call("embedding_grad", dout, ids, rows=4, padding=p) for p in (None, 2))
    assert (but_padding[2] == 0).all()
    others = [0, 1, 3]
    np.testing.assert_array_equal(but_padding[others], every[others])


@BOTH
def test_contributions_are_added_in_the_order_of_their_positions_to_the_last_bit(call):
    dout = np.random.default_rng(8).standard_normal((501, 70)).astype(np.float32)
    ids = np.random.default_rng(9).integers(0, 3, 501)
    want = np.zeros((3, 70), np.float32)
    for i, row in enumerate(ids):
        want[row] += dout[i]
    got = call("embedding_grad", dout, ids, rows=3)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("padding", [-1, 5])
def test_padding_is_one_of_the_rows(padding):
    table, ids = Spec((5, 2), np.dtype(np.float32)), Spec((3,), INT64)
    with pytest.raises(ValueError, match="padding is an id from 0 to 4"):
        registry.op("embedding").outputs([table, ids], {"padding": padding})


@pytest.mark.parametrize(
    ("table", "dtype"), [((5,), np.int64), ((5, 2), np.int32), ((5, 2), np.float32)]
)
def test_a_table_has_two_axes_and_ids_are_int64(table, dtype):
    specs = [Spec(table, np.dtype(np.float32)), Spec((3,), np.dtype(dtype))]
    with pytest.raises(ValueError, match="embedding: "):
        registry.op("embedding").outputs(specs, {})


def test_a_gradient_has_a_row_for_each_id():
    specs = [Spec((4, 2), np.dtype(np.float32)), Spec((3,), INT64)]
    with pytest.raises(ValueError, match="no row of dout"):
        registry.op("embedding_grad").outputs(specs, {"rows": 5})


@pytest.mark.oracle
@pytest.mark.parametrize("padding", [None, 2])
def test_rows_and_gradient_are_those_of_pytorch(padding):
    torch = pytest.importorskip("torch")
    table, ids = table_and_ids(10, 6, 5, 3, 7)
    dout = np.random.default_rng(11).standard_normal((3, 7, 5))
    tensor = torch.tensor(table, requires_grad=True)
    theirs = torch.nn.functional.embedding(torch.tensor(ids), tensor, padding_idx=padding)
    theirs.backward(torch.tensor(dout))
    op = registry.op("embedding")
    out = run("embedding", table, ids, padding=padding)
    namespaces = op.namespace([table, ids]), op.namespace([out], ["out"])
    grads = op.grad(run, *namespaces, op.namespace([dout], ["out"]), {"table"}, padding=padding)
    np.testing.assert_array_equal(out, theirs.detach().numpy())
    dtable = grads["table"].dense(run)
    np.testing.assert_allclose(dtable, tensor.grad.numpy(), rtol=1e-13, atol=1e-15)


# --- the gradient as the rows that were read ------------------------------------------------------


def table_of(index, values, rows):
    """The whole table that a gradient of few rows stands for."""
    table = np.zeros((rows + 1, values.shape[1]), values.dtype)
    table[index] += values
    assert not table[rows].any()  # what is left over is zero
    return table[:rows]


@BOTH
@pytest.mark.parametrize("padding", [None, 0, 3])
@pytest.mark.parametrize(("v", "shape"), [(4, (20,)), (30, (4, 5)), (5, ()), (9, (0,)), (6, (6,))])
def test_the_rows_are_those_of_the_table_in_order_each_once(call, v, shape, padding):
    _, ids = table_and_ids(12, v, 3, *shape)
    dout = np.random.default_rng(13).standard_normal((*shape, 3))
    index, values = call("embedding_rows_grad", dout, ids, rows=v, padding=padding)
    read = sorted(set(ids.reshape(-1).tolist()) - {padding})
    places = min(ids.size, v)
    assert index.tolist() == read + [v] * (places - len(read))
    want = call("embedding_grad", dout, ids, rows=v, padding=padding)
    np.testing.assert_array_equal(table_of(index, values, v), want)  # the same sums, bit for bit


@BOTH
@pytest.mark.parametrize("bad", [-1, 3, 2**40, -(2**63)])
def test_an_id_outside_the_table_is_none_of_the_rows(call, bad):
    dout = np.array([[1.0, 2.0], [np.nan, np.inf], [3.0, 4.0]])
    index, values = call("embedding_rows_grad", dout, np.array([1, bad, 1]), rows=3)
    assert index.tolist() == [1, 3, 3]
    assert values.tolist() == [[4.0, 6.0], [0.0, 0.0], [0.0, 0.0]]


@BOTH
@pytest.mark.parametrize(("first", "second"), [(7, 9), (1, 20), (0, 3), (5, 0), (40, 40)])
def test_two_gradients_of_rows_merge_into_that_of_both_tables(call, first, second):
    v, d = 12, 3
    rng = np.random.default_rng(14)
    parts = [
        call("embedding_rows_grad", rng.standard_normal((n, d)), rng.integers(0, v, n), rows=v)
        for n in (first, second)
    ]
    index, values = call("merge_rows", *parts[0], *parts[1], rows=v)
    used = index[index < v]
    assert (np.diff(used) > 0).all()
    assert (index[len(used) :] == v).all()
    want = sum(table_of(*part, v) for part in parts)
    np.testing.assert_allclose(table_of(index, values, v), want, rtol=1e-15)


@pytest.mark.parametrize(
    "shapes", [[(3,), (4, 2), (3,), (3, 2)], [(3,), (3, 2), (3,), (3, 5)], [(3,), (3,), (3,), (3,)]]
)
def test_rows_that_do_not_fit_are_refused(shapes):
    dtypes = (INT64, np.dtype(np.float32)) * 2
    specs = [Spec(shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]
    with pytest.raises(ValueError, match="merge_rows"):
        registry.op("merge_rows").outputs(specs, {"rows": 9})


@pytest.mark.emulator
def test_rows_of_a_table_of_more_elements_than_32_bits_count_are_read(tmp_path):
    if why := emulate.problem():
        pytest.skip(why)
    rows, columns = (1 << 31) // 1024 + 7, 1024
    table = np.memmap(tmp_path / "table", np.float32, "w+", shape=(rows, columns))  # a sparse file
    table[-1], table[3] = np.arange(columns), 7
    emulator = emulate.Emulator()
    ids, out = (
        emulator.put(np.array([rows - 1, 3, rows])),
        emulator.put(np.zeros((3, columns), "f")),
    )
    with raw.running_on(emulator):
        found = registry.resolve(
            registry.op("embedding"), "cuda", [Spec.of(table), Spec.of(ids)], {}, "float32"
        )
        found.run(out, table, ids)
    np.testing.assert_array_equal(out[0], np.arange(columns))
    assert (out[1] == 7).all()
    assert np.isnan(out[2]).all()
