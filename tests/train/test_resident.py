"""Samples that stay on the device: the same batches and the same bits, and nothing of a sample is
copied there twice.
"""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from dlcli_kernels import raw
from dlcli_kernels.emulate import Emulator
from dlcli_kernels.emulate import problem as no_emulator
from hypothesis import given
from hypothesis import strategies as st

from dlcli import optim
from dlcli.data.dataset import Subset
from dlcli.data.loader import Loader
from dlcli.data.table_encoder import Features, Values
from dlcli.engine import executor
from dlcli.engine.cuda_executor import CudaExecutor
from dlcli.engine.cuda_plan import CudaPlan
from dlcli.engine.tensor import Rows, Tensor, made_on_host, on_device
from dlcli.engine.trace import HostCall
from dlcli.models import catalog
from dlcli.train import memory, prepare
from dlcli.train.loop import Interrupted
from dlcli.train.resident import SHARE, Resident, loader
from dlcli.train.step import Stepper
from tests.engine.strict import StrictExecutor
from tests.train import small
from tests.train.outcomes import StopAt, outcome, resumed

DATA = small.dataset()
TRAIN, ENCODE = DATA.splits["train"], DATA.kind.fit(DATA)
SIZE = 8
RECIPE = {"epochs": 3, "batch_size": SIZE}
TABLE_BYTES = len(TRAIN) * 16 * 4
KIND = {name: getattr(catalog.load(name), "KIND", "image") for name in catalog.names()}
IMAGES = [name for name, kind in KIND.items() if kind == "image"]


def build(name, shape=DATA.shape, classes=3, plan=True):
    module = catalog.load(name)
    model = module.build(module.Config(dropout=0.2), shape, classes, seed=1)
    model.plan = plan
    return model


MLP = build("mlp")


def resident(**how):
    return loader(MLP, TRAIN, ENCODE, SIZE, **how)


@pytest.fixture
def device():
    with executor.using(StrictExecutor()) as made:
        yield made


def same(batch, want):
    np.testing.assert_array_equal(on_device(batch.x).numpy(), want.x)
    np.testing.assert_array_equal(batch.y, want.y)
    np.testing.assert_array_equal(batch.indices, want.indices)
    assert batch.x.shape == want.x.shape


@given(
    epochs=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6), st.integers(0, 6)), max_size=5),
    workers=st.integers(0, 2),
)
def test_batches_are_those_of_a_plain_loader_wherever_epochs_begin_and_end(epochs, workers):
    with executor.using(StrictExecutor()):
        how = {"seed": 3, "shuffle": True, "workers": workers}
        found, want = resident(**how), Loader(TRAIN, ENCODE, SIZE, **how)
        assert type(found) is Resident
        for epoch, start, most in [*epochs, (4, 0, 6)]:
            some = (itertools.islice(of.epoch(epoch, start), most) for of in (found, want))
            for one, other in zip(*some, strict=True):
                same(one, other)
        assert found.filled == len(TRAIN)


def test_the_last_short_batch_is_left_out_where_it_is_asked_for(device):
    found = loader(MLP, TRAIN, ENCODE, SIZE, drop_last=True)
    for epoch in range(2):
        assert [len(batch.x) for batch in found.epoch(epoch)] == [SIZE] * 5
    assert found.filled == 40


def test_from_the_second_epoch_on_no_sample_is_read_or_copied(device):
    found = resident(shuffle=True)
    for _ in found.epoch(0):
        pass
    found.encode = None  # whoever calls it fails
    device.target.copied.clear()
    for batch in found.epoch(1):
        on_device(batch.x)
    assert device.target.copied == [(SIZE,)] * 5 + [(3,)]  # their ids


def test_each_sample_is_copied_once_also_where_an_epoch_is_broken_off(device):
    found = resident(shuffle=True)
    for epoch in range(4):
        for _ in itertools.islice(found.epoch(epoch), 3):
            pass
    for _ in found.epoch(4):
        pass
    assert sum(shape[0] for shape in device.target.copied) == len(TRAIN)


def test_what_makes_a_loader_a_plain_one(device):
    def kind(*, model=MLP, split=TRAIN, encode=ENCODE):
        return type(loader(model, split, encode, SIZE))

    assert kind() is Resident
    assert kind(model=build("mlp", plan=False)) is Loader
    assert kind(model=small.Classifier()) is Loader  # it says nothing of it
    assert kind(encode=lambda x: ENCODE(x)) is Loader  # a sample may become this or that
    assert kind(split=DATA.kind.augmented(TRAIN, "flip", seed=0, dataset=DATA)) is Loader
    words = small.texts()
    texts = {"split": words.splits["train"], "encode": words.kind.fit(words)}
    assert kind(model=build("text-cnn", words.shape), **texts) is Loader
    device.target.free = SHARE * TABLE_BYTES
    assert kind() is Resident
    device.target.free -= 1
    assert kind() is Loader
    with executor.using(executor.CpuExecutor(1)) as cpu:
        assert kind() is Loader
        cpu.close()


def test_rows_of_a_table_of_columns_stay_there_as_pictures_do(device):
    values = Values(
        {"a": np.arange(43.0), "b": np.array(["x", "y", "z"], object)[TRAIN.labels]}, 43
    )
    encode = Features.fit("label", values)
    split = Subset(
        SimpleNamespace(labels=TRAIN.labels, lengths=None, samples=values.__getitem__),
        np.arange(43),
    )
    found, want = loader(MLP, split, encode, SIZE), Loader(split, encode, SIZE)
    assert type(found) is Resident
    for epoch in range(2):
        for one, other in zip(found.epoch(epoch), want.epoch(epoch), strict=True):
            same(one, other)


def test_rows_are_cut_into_pieces_as_arrays_are(device):
    found, want = resident(), Loader(TRAIN, ENCODE, SIZE)
    (one, *_), (other, *_) = (list(of.epoch(0)) for of in (found, want))
    pieces, wanted = memory.cut(one, 3), memory.cut(other, 3)
    assert [len(piece.x) for piece in pieces] == [3, 3, 2]
    for piece, array in zip(pieces, wanted, strict=True):
        same(piece, array)


def test_a_function_of_the_host_is_given_the_rows_themselves(device):
    table = Tensor(device.put(np.arange(12, dtype=np.float32).reshape(4, 3)))
    rows = Rows(table, np.array([3, 0]), (3, 1))
    found = made_on_host(np.negative, rows).numpy()
    np.testing.assert_array_equal(found, [[[-9], [-10], [-11]], [[0], [-1], [-2]]])


def trained(path, name, *, free):
    with executor.using(StrictExecutor()) as device:
        device.target.free = free
        trainer = small.trainer(path, model=build(name), **RECIPE)
        assert type(trainer.loader) is (Resident if free else Loader)
        trainer.fit()
        plans = [entry.plan for entry in trainer.stepper.repeater.planner.entries.values()]
    return outcome(path), plans


@pytest.mark.parametrize("name", IMAGES)
def test_a_model_that_ships_learns_the_same_bits_of_rows(tmp_path, name):
    want, _ = trained(tmp_path / "arrays", name, free=0)
    found, plans = trained(tmp_path / "rows", name, free=1 << 30)
    assert found == want
    gathering = [plan for plan in plans if plan and "embedding" in ops(plan)]
    assert len(gathering) == len([plan for plan in plans if plan]) >= 2  # of steps, of validation


def ops(plan):
    return {call.launch.op.name for call in plan.calls if not isinstance(call, HostCall)}


def test_a_run_that_is_resumed_in_the_midst_of_an_epoch_fills_the_table_later(tmp_path, device):
    given = {"data": DATA, **RECIPE}
    small.trainer(tmp_path / "whole", model=build("mlp"), **given).fit()
    cut = small.trainer(tmp_path / "cut", model=build("mlp"), observer=StopAt(4), **given)
    with pytest.raises(Interrupted):
        cut.fit()
    resumed(tmp_path / "cut", model=build("mlp"), **given).fit()
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")


def test_two_tables_are_two_plans(device):
    """Batches of one shape, of rows of the one or of the other."""
    stepper = Stepper(build("mlp").eval(), lambda phase: optim.make("adam", phase.parameters))
    model, parts = stepper.model, [DATA.splits[name] for name in ("train", "val")]
    of_both = [list(loader(model, part, ENCODE, SIZE).epoch(0))[:2] for part in parts]
    plain = [list(Loader(part, ENCODE, SIZE).epoch(0))[:2] for part in parts]
    for number in range(12):
        part = number % 2
        for rows, arrays in zip(of_both[part], plain[part], strict=True):
            assert stepper._measured(rows).sums == stepper._measured(arrays).sums


@pytest.mark.emulator
def test_in_the_emulator_a_step_on_rows_is_one_graph_behind_their_ids_and_labels():
    if why := no_emulator():
        pytest.skip(why)

    def trained(free):
        model = build("mlp")
        emulator.room = lambda: free
        stepper = Stepper(model, lambda phase: optim.make("adam", phase.parameters))
        of = prepare.loaders(model, DATA, ENCODE, small.recipe(), 0)[0]
        losses = [stepper.step([batch], 1e-3, i)[0] for i, batch in enumerate(of.epoch(0))]
        return losses, model.state_dict()

    emulator, made = Emulator(), []
    with raw.running_on(emulator), executor.using(CudaExecutor()) as device:
        device.plan = lambda trace: made.append(CudaPlan(trace, device)) or made[-1]
        (losses, weights), (want, others) = trained(1 << 30), trained(0)
    rows, arrays = made
    assert ops(rows) - ops(arrays) == {"embedding"}
    assert len(rows.steps) == 3  # ids, labels, the graph
    assert losses == want
    for name, array in weights.items():
        np.testing.assert_array_equal(array, others[name], err_msg=name)
