"""The pool of threads, flush-to-zero, scratch memory and the cache of compiled kernels."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from dlcli_kernels import cpu, cpu_native, cpu_pool
from dlcli_kernels.spec import Spec

DENORMAL = np.float32(1e-40)


def flushes_to_zero():
    """Whether a product of this thread that would be denormal comes out as zero."""
    return bool(np.full(8, 1e-30, np.float32)[0] * np.float32(1e-10) == 0)


@pytest.fixture(params=[1, 2, 5], ids=lambda n: f"{n} threads")
def pool(request):
    pool = cpu_pool.Pool(request.param)
    yield pool
    pool.close()


@pytest.fixture
def pair():
    pool = cpu_pool.Pool(2)
    yield pool
    pool.close()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 64])
def test_every_index_runs_exactly_once(pool, count):
    for _ in range(20):
        seen = []
        pool.run(seen.append, count)
        assert sorted(seen) == list(range(count))


def test_a_second_thread_takes_ranges_while_the_first_is_busy(pair):
    began, names = threading.Barrier(2, timeout=10), set()

    def task(i):
        began.wait()  # passes only if two ranges run at the same time
        names.add(threading.current_thread().name)

    pair.run(task, 2)
    assert len(names) == 2


def test_sleeping_workers_wake_up(pair):
    for pause in (0.0, 0.002, 0.02):  # past the time that they spin for
        time.sleep(pause)
        test_a_second_thread_takes_ranges_while_the_first_is_busy(pair)


def test_a_caller_with_nothing_left_to_do_waits_for_a_worker_that_is_at_it(pair):
    begun, done = threading.Event(), []

    def task(i):
        if threading.current_thread() is threading.main_thread():
            begun.wait(10)
        else:
            begun.set()
            time.sleep(0.05)  # longer than the caller spins for
            done.append(i)

    pair.run(task, 2)
    assert len(done) == 1


def test_an_exception_in_a_range_reaches_the_caller_and_the_pool_goes_on(pool):
    def task(i):
        if i == 3:
            raise ZeroDivisionError("range 3")

    for _ in range(3):
        with pytest.raises(ZeroDivisionError, match="range 3"):
            pool.run(task, 8)
        seen = []
        pool.run(seen.append, 8)
        assert sorted(seen) == list(range(8))


def test_no_further_ranges_begin_after_an_exception(pair):
    begun = []

    def task(i):
        begun.append(i)
        raise KeyError(i)

    with pytest.raises(KeyError):
        pair.run(task, 1000)
    assert len(begun) <= 2


def test_two_threads_may_call_the_same_pool_at_once(pool):
    totals, errors = [0, 0], []

    def caller(me):
        for _ in range(100):
            seen = []
            pool.run(seen.append, 7)
            if sorted(seen) != list(range(7)):
                errors.append(seen)
            totals[me] += len(seen)

    callers = [threading.Thread(target=caller, args=(me,)) for me in (0, 1)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join(timeout=60)
    assert (totals, errors) == ([700, 700], [])


def test_a_run_inside_a_range_is_serial_and_does_not_wait_for_itself(pool):
    inner = []

    def task(i):
        pool.run(lambda j: inner.append((i, j, threading.current_thread())), 3)

    pool.run(task, 4)
    assert sorted((i, j) for i, j, _ in inner) == [(i, j) for i in range(4) for j in range(3)]
    assert all(len({t for i, _, t in inner if i == k}) == 1 for k in range(4))


def test_a_closed_pool_refuses_to_run():
    pool = cpu_pool.Pool(2)
    pool.run(lambda i: None, 2)
    pool.close()
    with pytest.raises(RuntimeError, match="closed"):
        pool.run(lambda i: None, 2)


def test_a_job_that_ends_before_a_worker_comes_does_not_wait_for_it():
    job = cpu_pool._Job(lambda i: None, 3)
    job.work()
    assert job.close() == []
    job.help(worker=0, ticket=1)
    assert job.close() == []


@pytest.mark.skipif(not cpu_native.HAS_MXCSR, reason="flush-to-zero is set on x86 alone")
def test_flush_to_zero_is_set_in_every_thread_and_only_inside(pool):
    assert not flushes_to_zero()
    flushed = []
    pool.run(lambda i: flushed.append(flushes_to_zero()), 32)
    assert flushed == [True] * 32
    assert not flushes_to_zero()


@pytest.mark.skipif(not cpu_native.HAS_MXCSR, reason="flush-to-zero is set on x86 alone")
def test_flush_to_zero_is_undone_after_an_exception(pool):
    def task(i):
        raise ValueError("in a range")

    with pytest.raises(ValueError, match="in a range"):
        pool.run(task, 4)
    assert not flushes_to_zero()


@pytest.mark.skipif(not cpu_native.HAS_MXCSR, reason="flush-to-zero is set on x86 alone")
def test_denormal_operands_count_as_zero_inside(pair):
    sums = []
    pair.run(lambda i: sums.append(float(np.full(4, DENORMAL).sum())), 2)
    assert sums == [0.0, 0.0]
    assert np.full(4, DENORMAL).sum() > 0


def test_workers_report_no_floating_point_warnings(pair):
    in_worker = threading.Event()

    def task(i):
        if threading.current_thread() is threading.main_thread():
            in_worker.wait(10)
        else:
            in_worker.set()
            np.log(np.zeros(4))  # a RuntimeWarning is an error in these tests

    pair.run(task, 2)
    assert in_worker.is_set()


def test_scratch_is_kept_per_thread_and_per_shape():
    spec = Spec((3, 5), np.dtype(np.float32))
    mine, others = cpu.scratch(spec), []
    thread = threading.Thread(target=lambda: others.append(cpu.scratch(spec)))
    thread.start()
    thread.join()
    assert mine.shape == (3, 5)
    assert mine.dtype == np.float32
    assert cpu.scratch(spec) is mine
    assert others[0] is not mine
    assert cpu.scratch(Spec((3, 5), np.dtype(np.float64))) is not mine


def test_fast_math_never_assumes_that_there_is_no_nan_or_infinity():
    assert not {"fast", "nnan", "ninf"} & cpu.FASTMATH


def test_a_kernel_defined_in_no_file_is_compiled_without_a_cache():
    scope = {}
    exec("def double(x):\n    return x + x", scope)
    assert cpu.kernel(scope["double"])(21) == 42


def test_a_kernel_is_told_once_though_it_is_compiled_with_what_it_calls():
    @cpu.kernel
    def inner(x):
        return x + 1

    @cpu.kernel
    def outer(x):
        return inner(x) + inner(x)

    told = []
    cpu.on_compile(told.append)
    assert outer(1) == 4
    assert told == [__name__.replace(".", "/")]


PROGRAM = """
from dlcli_kernels import cpu, registry
import numpy as np
print(cpu.cache_folder() is None)
compiled = []
cpu.on_compile(compiled.append)
cpu.restore(cpu.flush_to_zero())
print(len(compiled))
"""


def run_with_cache(folder):
    """Runs a kernel in another process whose cache folder is `folder`: (no cache, compilations)."""
    environment = {**os.environ, "DLCLI_CACHE": str(folder)}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    no_cache, compilations = done.stdout.split()
    return no_cache == "True", int(compilations)


@pytest.mark.skipif(not cpu_native.HAS_MXCSR, reason="the kernel that is run sets flush-to-zero")
def test_kernels_are_compiled_once_for_all_processes(tmp_path):
    assert run_with_cache(tmp_path) == (False, 2)  # one sets it, one puts back what was
    assert run_with_cache(tmp_path) == (False, 0)


@pytest.mark.skipif(not cpu_native.HAS_MXCSR, reason="the kernel that is run sets flush-to-zero")
def test_kernels_work_where_the_cache_folder_cannot_be_written(tmp_path):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    assert run_with_cache(in_the_way) == (True, 2)


@pytest.mark.parametrize(
    ("text", "cores"),
    [("max 100000\n", np.inf), ("150000 100000\n", 1.5), ("nonsense", np.inf), (None, np.inf)],
)
def test_the_quota_of_a_control_group_is_read(tmp_path, text, cores):
    path = tmp_path / "cpu.max"
    if text is not None:
        path.write_text(text)
    assert cpu._quota(str(path)) == cores


@pytest.mark.parametrize(("quota", "threads"), [(0.5, 1), (1.2, 2), (np.inf, 6), (64.0, 6)])
def test_threads_are_limited_by_affinity_and_quota(monkeypatch, quota, threads):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    monkeypatch.setattr(cpu, "_quota", lambda: quota)
    assert cpu.available_threads() == threads
