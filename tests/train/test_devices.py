"""Training where the host cannot touch the device's memory: the same bits as on the CPU.

Every model that ships is trained, stopped, resumed, evaluated and asked for predictions on an
executor for CUDA whose arrays refuse everything but views (`tests/engine/strict.py`).
"""

import numpy as np
import pytest

from dlcli.engine import executor
from dlcli.engine.forward import Forward
from dlcli.errors import NonFiniteError
from dlcli.models import catalog
from dlcli.train import evaluate
from dlcli.train.loop import Interrupted
from tests.engine.strict import InOneRange, StrictExecutor
from tests.train import small
from tests.train.outcomes import StopAt, outcome, resumed

RECIPE = {"epochs": 2, "batch_size": 16, "clip_norm": 1.0, "clip_value": 0.5, "weight_decay": 0.01}


def kind_of(name):
    return getattr(catalog.load(name), "KIND", "image")


# Models of other samples have tests like these beside those of their tasks.
NAMES = [name for name in catalog.names() if kind_of(name) in ("image", "text")]


def build(name, seed):
    """A model that ships, with dropout, or the one of the tests, with batch norm."""
    if name == "small":
        return small.Classifier(seed)
    module = catalog.load(name)
    return module.build(module.Config(dropout=0.2), data_of(name).shape, 3, seed=seed)


def data_of(name):
    """Samples of the kind that the model takes."""
    return small.texts() if name != "small" and kind_of(name) == "text" else small.dataset()


def everything(path, name, **changes):
    """Trains to the end, and what came of it: files, figures, shares."""
    model = build(name, seed=1)
    data = data_of(name)
    small.trainer(path, model=model, data=data, **RECIPE, **changes).fit()
    encode, test = data.kind.fit(data), data.splits["test"]
    shares = evaluate.predict_proba(Forward(model), test.samples(np.arange(20)), encode)
    found = evaluate.evaluate(model, test, encode, classes=data.classes)
    return {**outcome(path), "shares": shares.tobytes(), "figures": found.to_json()}


@pytest.fixture
def cpu():
    """The CPU with each op in one piece; afterwards the executor of before is in use again."""
    made = InOneRange(threads=1)
    yield made
    made.close()


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
@pytest.mark.parametrize("name", [*NAMES, "small"])
def test_no_host_code_touches_device_memory_and_the_bits_are_the_cpu_s(
    tmp_path, cpu, name, optimizer
):
    with executor.using(cpu):
        want = everything(tmp_path / "cpu", name, optimizer=optimizer)
    with executor.using(StrictExecutor()) as strict:
        found = everything(tmp_path / "strict", name, optimizer=optimizer)
    assert {"softmax_cross_entropy", "clip_by_norm", "count_step"} <= strict.ran
    assert found == want


@pytest.mark.parametrize("name", [*NAMES, "small"])
def test_a_run_that_is_stopped_and_resumed_on_a_device_is_one_that_never_stopped(tmp_path, name):
    given = {"data": data_of(name), **RECIPE}
    with executor.using(StrictExecutor()):
        small.trainer(tmp_path / "whole", model=build(name, 1), **given).fit()
        cut = small.trainer(tmp_path / "cut", model=build(name, 1), observer=StopAt(4), **given)
        with pytest.raises(Interrupted):
            cut.fit()
        resumed(tmp_path / "cut", model=build(name, 2), **given).fit()
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")


def test_a_checkpoint_of_one_device_goes_on_on_another(tmp_path, cpu):
    with executor.using(cpu):
        small.trainer(tmp_path / "whole", model=build("cnn", 1), **RECIPE).fit()
    with executor.using(StrictExecutor()):
        cut = small.trainer(tmp_path / "cut", model=build("cnn", 1), observer=StopAt(4), **RECIPE)
        with pytest.raises(Interrupted):
            cut.fit()
    with executor.using(cpu):
        resumed(tmp_path / "cut", model=build("cnn", 2), **RECIPE).fit()
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")


def test_a_loss_that_is_not_finite_stops_on_a_device_with_the_weights_of_before(tmp_path):
    with executor.using(StrictExecutor()):
        model = small.Classifier()
        model.spoil_at = 3
        with pytest.raises(NonFiniteError):
            small.trainer(tmp_path / "run", model=model).fit()
        assert all(np.isfinite(array).all() for array in model.state_dict().values())


def test_layers_are_listed_and_weights_converted_on_a_device():
    with executor.using(StrictExecutor()):
        model = build("cnn", 0)
        rows = catalog.summary(model, (4, 4, 1))
        assert rows[-1].output == (3,)
        assert sum(row.parameters for row in rows) == sum(
            p.size for p in model.named_parameters().values()
        )
        before = model.state_dict()
        model.astype(np.float64)
        for name, array in model.state_dict().items():
            np.testing.assert_array_equal(array, before[name])
            assert array.dtype in (np.float64, np.uint32)
