"""Models that ship, trained on CUDA C++ kernels in the emulator: the CPU's figures within rounding.

The same Python runs on a GPU: only the target of the launches is another one.
"""

import numpy as np
import pytest
from dlcli_kernels import emulate, raw, registry

from dlcli import optim
from dlcli.data.loader import Batch
from dlcli.engine import executor
from dlcli.engine.cuda_executor import CudaExecutor
from dlcli.engine.cuda_plan import CudaPlan
from dlcli.engine.forward import Forward
from dlcli.engine.trace import HostCall
from dlcli.models import catalog
from dlcli.train.evaluate import predict_proba
from dlcli.train.step import Stepper
from tests.engine.strict import StrictExecutor

pytestmark = pytest.mark.emulator
SHAPE, CLASSES, SAMPLES = (8, 8, 1), 3, 5
STEPS, WORDS = 6, 30  # of a text, at most; of the vocabulary
SMALL = {  # settings with which a model takes a second in the emulator
    "lstm": {"hidden": 12, "layers": 2, "bidirectional": True, "dense": 8},
    "gru": {"hidden": 10, "bidirectional": True, "dense": 8},
    "rnn": {"hidden": 33, "dense": 8},
    "text-lstm": {"embedding": 7, "hidden": 12},
}
OPTIMIZERS = {  # learning rate and settings
    "momentum": (0.1, {"weight_decay": 0.01}),
    # with its own eps a step is the gradient's sign, rounding or not
    "adam": (1e-3, {"eps": 1e-3, "weight_decay": 0.01}),
    "lazy-adam": (1e-3, {"eps": 1e-3}),
}
ROUNDING = 2e-5  # of an array's largest: float32 sums of up to 576 products in another order


def texts(rng, n):
    """The ids of words (n, STEPS) and lengths (n,); what stands past a length is padding, 0."""
    lengths = rng.integers(1, STEPS + 1, n).astype(np.int32)
    words = rng.integers(2, WORDS, (n, STEPS))
    return np.where(np.arange(STEPS) < lengths[:, np.newaxis], words, 0), lengths


def batches(number, of_texts):
    """Batches of images, or of texts; the last is a short one."""
    rng = np.random.default_rng(0)
    for i in range(number):
        n = SAMPLES if i < number - 1 else SAMPLES - 2
        if of_texts:
            x, *more = texts(rng, n)
        else:
            x, more = rng.standard_normal((n, *SHAPE)).astype(np.float32), []
        yield Batch(x, rng.integers(0, CLASSES, n), np.arange(n), tuple(more))


def trained(name, optimizer, steps, plan=False):
    """Losses, weights, the optimiser's states and the shares of a model after some steps, the last
    of them on fewer samples.
    """
    module = catalog.load(name)
    of_texts = getattr(module, "KIND", "image") == "text"
    config = module.Config(**{"dropout": 0.2, **SMALL.get(name, {})})
    model = module.build(config, (STEPS, WORDS) if of_texts else SHAPE, CLASSES, seed=1)
    model.plan = plan
    lr, settings = OPTIMIZERS[optimizer]
    settings = {"clip_norm": 1.0, **settings}
    stepper = Stepper(model, lambda phase: optim.make(optimizer, phase.parameters, **settings))
    model.train()
    given = enumerate(batches(steps, of_texts))
    losses = [stepper.step([batch], lr, number)[0] for number, batch in given]
    weights, states = model.state_dict(), stepper.state_dict()
    rng = np.random.default_rng(1)
    if of_texts:
        shares = predict_proba(Forward(model), np.arange(4), lambda a: texts(rng, len(a)))
    else:
        images = rng.integers(0, 256, (4, *SHAPE)).astype(np.uint8)
        shares = predict_proba(Forward(model), images, lambda a: a.astype(np.float32) / 255)
    return {"losses": np.array(losses), "shares": shares, **weights, **states}


@pytest.fixture
def emulated():
    """The executor for CUDA, on the emulator."""
    if why := emulate.problem():
        pytest.skip(why)
    with raw.running_on(emulate.Emulator()), executor.using(CudaExecutor()) as made:
        yield made


def without_a_kernel(name, optimizer):
    """The ops of a training step for which CUDA has no variant that runs by default."""
    with executor.using(StrictExecutor()) as strict:
        trained(name, optimizer, 1)
    preferred = {op: {device for device, _ in registry.op(op).prefer} for op in strict.ran}
    return sorted(op for op, devices in preferred.items() if "cuda" not in devices)


@pytest.mark.parametrize(
    ("name", "optimizer", "steps"),
    [
        ("mlp", "momentum", 2),
        ("mlp", "adam", 1),
        ("cnn-small", "momentum", 2),
        ("cnn", "adam", 1),
        ("lstm", "momentum", 2),
        ("gru", "momentum", 2),
        ("rnn", "momentum", 2),
        ("text-lstm", "momentum", 2),
        ("text-lstm", "lazy-adam", 2),
    ],
)
def test_a_model_learns_in_the_emulator_what_it_learns_on_the_cpu(name, optimizer, steps, emulated):
    if missing := without_a_kernel(name, optimizer):
        pytest.skip(f"CUDA has no kernel yet for {', '.join(missing)}")
    found = trained(name, optimizer, steps)
    assert emulated.target.launches
    with executor.using(executor.CpuExecutor(1)) as cpu:
        want = trained(name, optimizer, steps)
        cpu.close()
    assert found.keys() == want.keys()
    for key, array in want.items():
        close = ROUNDING * float(np.abs(array).max(initial=0)) if array.dtype.kind == "f" else 0
        np.testing.assert_allclose(found[key], array, rtol=0, atol=close, err_msg=key)


@pytest.mark.parametrize("name", ["mlp", "cnn-small", "lstm", "text-lstm"])
def test_a_plan_launches_in_the_emulator_what_makes_the_same_bits(name, emulated):
    want = trained(name, "adam", 7)
    before, made = emulated.target.launches, []
    emulated.plan = lambda trace: made.append(CudaPlan(trace, emulated)) or made[-1]
    found = trained(name, "adam", 7, plan=True)
    assert len(made) == 1  # after two equal batches two are traced, and the short one comes once
    hosted = sum(isinstance(call, HostCall) for call in made[0].calls)
    assert len(made[0].steps) == hosted + 1  # one graph, captured as a whole
    assert emulated.target.launches > before
    assert found.keys() == want.keys()
    for key, array in want.items():
        np.testing.assert_array_equal(found[key], array, err_msg=key)
