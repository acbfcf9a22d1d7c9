"""Launches written down: what can be, what may not, and that threads run them without Python to the
same bits.
"""

import threading
import time

import numpy as np
import pytest
from dlcli_kernels import cpu_pool, registry
from dlcli_kernels.check_data import make_inputs
from dlcli_kernels.cpu import kernel
from dlcli_kernels.cpu_pool import RECORDED_AT, Pool
from dlcli_kernels.cpu_program import Program
from dlcli_kernels.cpu_record import operand, record
from dlcli_kernels.cpu_trampoline import NotNative
from dlcli_kernels.launch import Launch
from dlcli_kernels.spec import Op, Spec

F32 = np.dtype(np.float32)


@pytest.fixture(scope="module")
def pools():
    pools = {n: Pool(n) for n in (1, 2, 3)}
    yield pools
    for pool in pools.values():
        pool.close()


class Toy:
    """A variant made of one function."""

    module, name, device, whole = None, "cpu_toy", "cpu", False

    def __init__(self, run, workspace=None):
        self.run, self.room = run, workspace

    def workspace(self, ins, attrs):
        return self.room


def toy(run, *, partial=(), cut=True, workspace=None, rows=2):
    """A launch of (8, 6) float32 → the same, or a sum over the first axis."""
    out = (lambda x: {"out": x.like(6)}) if partial else (lambda x: {"out": x})
    axes = {"x": 0} if partial else {"x": 0, "out": 0}
    op = Op("toy", out, lambda x: x, cut=lambda x: axes if cut else None, partial=partial)
    x = Spec((8, 6), F32)
    return Launch(op, Toy(run, workspace), [x], {}, rows=rows)


def perform(launch, x, pool):
    outs = launch.allocate(lambda spec: np.full(spec.shape, np.nan, spec.dtype))
    program = Program(launch)
    pool.perform(program, program.operands(outs, launch.plain([x])))
    return outs[0]


X = np.random.default_rng(0).standard_normal((8, 6)).astype(np.float32)


@kernel
def _twice(out, x):
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = 2 * x[i, j]


@kernel
def _scaled(out, x, by):
    out[:, :] = by * x


@kernel
def _sum_rows(out, x):
    out[:] = 0
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[j] += x[i, j]


@kernel
def _of_everything(out, x, pair, nested, flag, small, wide, nothing, words, table):
    out[:, :] = x
    out[0, 0] = pair[0] + 10 * pair[1] + 100 * nested[1][0]
    out[0, 1] = 1 if flag else 0
    out[0, 2] = small
    out[0, 3] = wide
    out[0, 4] = 1 if words == np.uint64(2**63 + 5) else 0
    out[0, 5] = table[1] if nothing is None else -1


def test_every_kind_of_argument_arrives(pools):
    table = np.array([7.0, 8.0])

    def run(out, x):
        extra = (True, np.float32(0.5), -2.25, None, np.uint64(2**63 + 5), table)
        _of_everything(out, x, (3, 4), (1.5, (6, 2)), *extra)

    got = perform(toy(run, cut=False), X, pools[1])
    assert got[0].tolist() == [643, 1, 0.5, -2.25, 1, 8]
    assert np.array_equal(got[1:], X[1:])


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_ranges_and_partial_sums_have_the_bits_of_a_run_in_python(threads, pools):
    for launch in (toy(_twice), toy(_sum_rows, partial=("out",)), toy(_sum_rows, cut=False)):
        if launch.outputs[0].shape == (8, 6) and launch.kernel is _sum_rows:
            continue
        want = launch.allocate(lambda spec: np.empty(spec.shape, spec.dtype))
        launch.run(want, [X])
        for _ in range(50):  # the threads share the ranges in another way each time
            assert np.array_equal(perform(launch, X, pools[threads]), want[0])


def test_a_program_serves_any_arrays_of_its_shapes(pools):
    launch = toy(_twice)
    program = Program(launch)
    for seed in range(20):
        x = np.random.default_rng(seed).standard_normal((8, 6)).astype(np.float32)
        out = np.empty_like(x)
        pools[2].perform(program, program.operands([out], [x]))
        assert np.array_equal(out, 2 * x)


def test_each_thread_has_scratch_of_its_own_from_a_cache_line_on(pools):
    @kernel
    def through(out, x, kept):
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                kept[i, j] = x[i, j]
        for _ in range(20_000):  # long enough for the other thread to spoil it, were it shared
            for i in range(x.shape[0]):
                for j in range(x.shape[1]):
                    kept[i, j] += 0
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                out[i, j] = kept[i, j]

    seen = []

    def run(out, x, *, scratch):
        seen.append(scratch.ctypes.data % 64)
        through(out, x, scratch)

    for _ in range(5):
        launch = toy(run, workspace=Spec((8, 6), F32))
        assert np.array_equal(perform(launch, X, pools[3]), X)
    assert set(seen) == {0}


def test_what_is_no_kernel_is_refused_and_named():
    def assigns(out, x):
        out[...] = 0

    def calls_numpy(out, x):
        np.add(x, 1, out=out)

    def sums(out, x):
        out.fill(0)
        _twice(out, x + 1)

    def branches(out, x):
        if x[0, 0] > 0:
            _twice(out, x)

    def copies(out, x):
        _twice(out, x[np.array([1, 0])])

    def copies_unseen(out, x):
        _twice(out, np.ascontiguousarray(x[::-1]))

    def reads_unseen(out, x):
        _scaled(out, x, float(np.asarray(x)[0, 0]))

    def joins(out, x):
        _twice(out, np.concatenate([x, x]))

    for run, why in [
        (assigns, "values"),
        (calls_numpy, "np.add"),
        (sums, "values"),
        (branches, "a value"),
        (copies, "a copy"),
        (copies_unseen, "made"),
        (reads_unseen, "read"),
        (joins, "np.concatenate"),
    ]:
        with pytest.raises(NotNative, match=why):
            Program(toy(run))


def test_views_of_operands_are_found_by_their_place():
    x = operand(Spec((4, 6), F32))
    views = [x[1:3, 2:], x.T, x.reshape(-1)[5:], np.swapaxes(x, 0, 1)[2:]]

    @kernel
    def look(a):
        pass

    (calls,) = [record(lambda: [look(v) for v in views], {2: x}).calls]
    assert [words[1] for _, words in calls] == [2, 2, 2, 2]
    assert [words[2] for _, words in calls] == [4 * 8, 0, 4 * 5, 4 * 2]


def test_a_kernel_that_another_thread_runs_meanwhile_is_not_written_down():
    inside, out = threading.Event(), np.zeros((2, 2), np.float32)
    _twice(out, out)
    done = threading.Event()

    def elsewhere():
        inside.wait(10)
        _twice(out, np.ones((2, 2), np.float32))
        done.set()

    thread = threading.Thread(target=elsewhere)
    thread.start()
    recording = record(lambda: (inside.set(), done.wait(10)), {})
    thread.join()
    assert recording.calls == []
    assert (out == 2).all()


def test_a_launch_runs_in_python_at_first_and_without_from_then_on(pools):
    calls = []

    def run(out, x):
        calls.append(None)
        _twice(out, x)

    launch = toy(run, cut=False)
    outs = [np.empty_like(X)]
    for _ in range(RECORDED_AT + 5):
        outs[0].fill(np.nan)
        pools[2].carry_out(launch, outs, [X])
        assert np.array_equal(outs[0], 2 * X)
    assert len(calls) == RECORDED_AT - 1 + 2  # in Python, then written down twice


def test_a_scalar_of_numpy_is_as_good_as_an_array(pools):
    op = registry.op("add")
    launch = Launch(op, registry.variant(op, "cpu_numba"), [Spec((), F32)] * 2, {})
    out = np.empty((), np.float32)
    for _ in range(RECORDED_AT + 2):
        pools[1].carry_out(launch, [out], [np.float32(1.5), np.float32(2)])
        assert out == 3.5


def test_what_cannot_be_written_down_goes_on_in_python(pools):
    launch = toy(lambda out, x: np.multiply(x, 2, out=out))
    for _ in range(RECORDED_AT + 2):
        outs = [np.empty_like(X)]
        pools[2].carry_out(launch, outs, [X])
        assert np.array_equal(outs[0], 2 * X)
    assert "np.multiply" in launch.not_native


def test_a_launch_for_which_there_is_no_room_goes_on_in_python(pools, monkeypatch):
    def full(launch):
        raise MemoryError

    monkeypatch.setattr(cpu_pool, "Program", full)
    launch, outs = toy(_twice), [np.empty_like(X)]
    for _ in range(RECORDED_AT + 2):
        pools[2].carry_out(launch, outs, [X])
    assert np.array_equal(outs[0], 2 * X)
    assert launch.not_native == "there was no memory for it"


def test_threads_that_sleep_wake_up_and_late_ones_are_not_waited_for(pools):
    launch = toy(_twice, rows=1)
    for pause in (0.0, 0.0, 0.002, 0.02, 0.0):
        time.sleep(pause)
        assert np.array_equal(perform(launch, X, pools[3]), 2 * X)


def test_several_callers_and_calls_from_within_a_range_do_not_disturb_each_other(pools):
    pool, program = pools[3], Program(toy(_twice, rows=1))
    wrong = []

    def caller(seed):
        x = np.random.default_rng(seed).standard_normal((8, 6)).astype(np.float32)
        for _ in range(200):
            out = np.empty_like(x)
            pool.perform(program, program.operands([out], [x]))
            if not np.array_equal(out, 2 * x):
                wrong.append(seed)

    threads = [threading.Thread(target=caller, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    pool.run(caller, 4)
    for thread in threads:
        thread.join(timeout=60)
    assert wrong == []


def test_a_closed_pool_performs_nothing():
    pool = Pool(2)
    pool.close()
    with pytest.raises(RuntimeError, match="closed"):
        perform(toy(_twice), X, pool)


# What training spends its time in: were one of these written in NumPy again, it would pass every
# other test, and meet the GIL.
NATIVE = [
    "act",
    "add",
    "add_to",
    "adam_step",
    "assign",
    "batchnorm",
    "batchnorm_grad",
    "bias_act",
    "bmm",
    "conv2d",
    "conv2d_dgrad",
    "conv2d_pool",
    "conv2d_wgrad",
    "dropout_grad",
    "fill",
    "layernorm",
    "layernorm_grad",
    "matmul",
    "maxpool2d",
    "maxpool2d_grad",
    "mul",
    "scale",
    "sgd_step",
    "softmax_cross_entropy",
    "softmax_cross_entropy_grad",
]


@pytest.mark.parametrize("name", NATIVE)
def test_what_a_training_step_is_made_of_needs_no_python(name):
    op = registry.op(name)
    case = op.cases[0]
    ins = make_inputs(op, case, np.random.default_rng(0), F32)
    specs = [None if a is None else Spec.of(a) for a in ins]
    attrs = {k: v for k, v in case.attrs.items() if k in op.attrs}
    program = Program(Launch(op, registry.resolve(op, "cpu", specs, attrs), specs, attrs))
    assert len(program.calls) >= 1
