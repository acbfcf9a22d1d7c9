"""Event files, read back by a reader of their own, and by TensorBoard's where it is installed."""

import math
import struct
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcli.errors import OutputError
from dlcli.train import tensorboard
from dlcli.train.tensorboard import Log

TAGS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


def test_the_checksum_is_that_of_the_published_vectors():
    """RFC 3720, appendix B.4; and the digits, as every catalogue of checksums has them."""
    assert tensorboard.crc32c(b"123456789") == 0xE3069283
    assert tensorboard.crc32c(bytes(32)) == 0x8A9136AA
    assert tensorboard.crc32c(b"\xff" * 32) == 0x62A8AB43
    assert tensorboard.crc32c(bytes(range(32))) == 0x46DD794E


def test_a_record_is_the_one_that_tensorboard_writes():
    """Its checksums are masked; these bytes are those of TensorBoard 2.21."""
    written = "0500000000000000eab2043e627261696e92d279cb"
    assert tensorboard.record(b"brain").hex() == written


def records(data):
    """The data of each record, whose checksums hold."""
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        assert data == tensorboard.record(data[12 : 12 + length]) + data[16 + length :]
        yield data[12 : 12 + length]
        data = data[16 + length :]


def fields(data):
    """(number, value) of each field of a message."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = varint()
        number, kind = key >> 3, key & 7
        if kind == 0:
            yield number, varint()
            continue
        size = {1: 8, 5: 4}[kind] if kind != 2 else varint()
        value = data[at : at + size]
        at += size
        yield number, struct.unpack({1: "<d", 5: "<f"}[kind], value)[0] if kind != 2 else value


def events(path):
    """(step, figures by tag) of each event, and the other fields of it."""
    for data in records(path.read_bytes()):
        found = dict(fields(data))
        values = [dict(fields(v)) for _, v in fields(found.pop(5, b""))]
        yield found.pop(2), {v[1].decode(): v[2] for v in values}, found


@given(TAGS, st.integers(0, 2**63 - 1), st.floats(width=32))
def test_every_tag_step_and_value_can_be_read_back(tag, step, value):
    data = tensorboard.event(1.5, step, tensorboard.summary({tag: value}))
    found = dict(fields(data))
    assert (found[1], found[2]) == (1.5, step)
    (told,) = (dict(fields(v)) for _, v in fields(found[5]))
    assert told[1].decode() == tag
    bounded = math.isnan(value) or abs(value) <= tensorboard.MOST
    assert told[2] == pytest.approx(value if bounded else math.copysign(3.4e38, value), nan_ok=True)


@pytest.fixture
def log(tmp_path):
    """A log in a run that has a folder, and nothing else."""

    def folder(name):
        (tmp_path / name).mkdir(exist_ok=True)
        return tmp_path / name

    return Log(SimpleNamespace(folder=folder))


def test_steps_and_epochs_are_curves_and_training_stands_beside_validation(log):
    log.on_start({"step": 0})
    log.on_step(1, 0.5, 0.25, 32)
    epoch = {"epoch": 1, "step": 1, "lr": 0.25, "loss": 0.5, "val_loss": 2.0, "val_accuracy": None}
    log.on_epoch({**epoch, "perplexity": 1e300, "timing": {"seconds": 1.0}})
    log.on_stop(None)
    (begin, nothing, version), step, last = events(log.path)
    assert (begin, nothing, version[3]) == (0, {}, b"brain.Event:2")
    assert step[:2] == (1, {"loss/step": 0.5, "lr": 0.25})
    told = {"loss/train": 0.5, "loss/val": 2.0, "perplexity/train": pytest.approx(3.4e38)}
    assert last[:2] == (1, told)


def test_a_training_that_goes_on_says_from_which_step_what_was_told_before_is_void(log):
    log.on_start({"step": 7})
    *_, (step, figures, more) = events(log.path)
    assert (step, figures, more[7]) == (8, {}, bytes([1 << 3, 1]))


def test_a_file_that_cannot_be_written_is_an_output_error(log):
    log.path.mkdir(parents=True)
    with pytest.raises(OutputError, match="cannot be written"):
        log.on_start({"step": 0})


def test_tensorboard_reads_what_is_written(log):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="no TensorBoard"
    )
    log.on_start({"step": 0})
    for step in range(1, 4):
        log.on_step(step, 1 / step, 0.1, 32)
    log.on_stop(None)
    found = accumulator.EventAccumulator(str(log.path.parent))
    found.Reload()
    assert [(e.step, e.value) for e in found.Scalars("loss/step")] == [
        (step, pytest.approx(1 / step)) for step in range(1, 4)
    ]
