"""For all tests: what is required is not skipped, workers share the cores, chance repeats.

`DLCLI_REQUIRE` names markers (`oracle,real_data`): a test of that kind that is skipped fails.
"""

import gc
import importlib.util
import os
import shutil
import signal

import pytest
from hypothesis import settings

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # PyTorch's, beside our own threads
if "DLCLI_DATA" in os.environ:  # tests change the working folder
    os.environ["DLCLI_DATA"] = os.path.abspath(os.environ["DLCLI_DATA"])
settings.register_profile("dlcli", derandomize=True, deadline=None, database=None)
settings.load_profile("dlcli")
gc.set_threshold(50_000)  # as the process `dlcli` does: Numba makes many objects that stay


def has_library(*names):
    """Whether every one of the modules could be imported."""
    try:
        return all(importlib.util.find_spec(name) is not None for name in names)
    except ModuleNotFoundError:  # a parent package is missing
        return False


NEEDS = {  # marker -> whether what its tests need is here
    "oracle": lambda: importlib.util.find_spec("torch") is not None,
    "nvrtc": lambda: has_library("cuda.bindings", "nvidia"),
    "emulator": lambda: bool(shutil.which("g++")),
    "simulator": lambda: has_library("numba_cuda"),
    "fuzzer": lambda: has_library("atheris"),
    "real_data": lambda: os.path.isdir(os.environ.get("DLCLI_DATA", "")),
}
REQUIRED = [name for name in os.environ.get("DLCLI_REQUIRE", "").split(",") if name]


def pytest_configure(config):
    """A requirement that cannot be met ends the run before it begins."""
    for name in REQUIRED:
        if name not in NEEDS:
            raise pytest.UsageError(f"DLCLI_REQUIRE: {name!r} is none of {', '.join(NEEDS)}")
        if not NEEDS[name]():
            raise pytest.UsageError(f"DLCLI_REQUIRE: what {name} tests need is not here")
    _heed_signals()
    _share_cores()


def _heed_signals():
    """A job in the background of a script ignores Ctrl-C, under nohup hanging up too, and so would
    all that it starts; tests interrupt what they start.
    """
    for number, usual in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


def _share_cores():
    """Each of pytest-xdist's workers counts only its share of the cores as available.

    Otherwise every worker would start as many threads as there are cores.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1 and hasattr(os, "sched_getaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        mine = int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw"))
        share = set(cores[mine::workers]) or {cores[mine % len(cores)]}
        os.sched_getaffinity = lambda pid: share  # what is reported; all cores may still be used


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A worker that is done takes over half of what another has before it.

    What is handed out otherwise is never taken back: of the slow tests of a file, one after the
    other, a worker was left with minutes while the others had nothing.
    """
    if config.getoption("dist") == "load":  # what -n means
        from xdist.scheduler import WorkStealingScheduling

        return WorkStealingScheduling(config, log)
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Turns the skip of a required test into a failure."""
    report = yield
    required = [name for name in REQUIRED if item.get_closest_marker(name)]
    if report.skipped and required:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} is required ({', '.join(required)}), but: {call.excinfo}"
    return report


@pytest.fixture
def plans(monkeypatch):
    """A number for each plan of the CPU that runs."""
    from dlcli.engine.cpu_plan import CpuPlan

    runs, run = [], CpuPlan.run
    monkeypatch.setattr(CpuPlan, "run", lambda *args: (runs.append(len(runs)), run(*args)))
    return runs
