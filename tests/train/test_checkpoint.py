"""A checkpoint comes back bit for bit, or the error says what is wrong with it."""

import json
import os
import shutil
import struct
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest

from dlcli.errors import CheckpointError, OutputError
from dlcli.train import atomic, checkpoint, tensors
from dlcli.train.checkpoint import Checkpoint


def made(step):
    rng = np.random.default_rng(step)
    weights = {
        "dense.weight": rng.standard_normal((5, 3)).astype(np.float32),
        "dense.bias": rng.standard_normal(5).astype(np.float32),
        "norm.count": np.array(step, dtype=np.int64),
        "empty": np.zeros((0, 4), np.float32),
    }
    optimizer = {"main/m": rng.standard_normal(20), "main/step": np.array([float(step)])}
    state = {"step": step, "best": None, "lr": 0.1 + 0.2}
    return Checkpoint(weights, optimizer, state, {"name": "cnn", "classes": ["a", "ü"]})


def equal(one, other):
    def same(a, b):
        return a.keys() == b.keys() and all(
            (a[k].dtype, a[k].shape, a[k].tobytes()) == (b[k].dtype, b[k].shape, b[k].tobytes())
            for k in a
        )

    return (
        same(one.tensors, other.tensors)
        and same(one.optimizer, other.optimizer)
        and one.state == other.state
        and one.model_info == other.model_info
    )


def test_what_was_saved_is_loaded_bit_for_bit(tmp_path):
    checkpoint.save(tmp_path / "checkpoints", "best", made(7))
    found = checkpoint.load(tmp_path / "checkpoints", "best")
    assert equal(found, made(7))
    assert found.warnings == []
    assert found.tensors["dense.weight"].flags.writeable


def test_the_same_state_gives_the_same_bytes_whatever_the_memory_layout(tmp_path):
    x = np.arange(12.0).reshape(3, 4)
    assert tensors.pack({"b": x, "a": x.T}) == tensors.pack({"a": x.T.copy(), "b": x})


@pytest.mark.parametrize("how", ["fail", "kill"])
def test_the_old_or_the_new_state_loads_whatever_call_of_a_save_fails_or_kills(
    tmp_path, faults, killed, how
):
    counted = tmp_path / "count"
    checkpoint.save(counted, "last", made(1))
    with faults() as found:
        checkpoint.save(counted, "last", made(2))
    steps = []
    for at in range(found.count):
        folder = tmp_path / f"{how}-{at}"
        checkpoint.save(folder, "last", made(1))
        with faults(at, how), suppress(OutputError, killed):
            checkpoint.save(folder, "last", made(2))
        loaded = checkpoint.load(folder, "last")
        step = loaded.state["step"]
        assert equal(loaded, made(step))
        steps.append(step)
        resumed = checkpoint.load(folder, "last", fallback=True)
        assert resumed.state["step"] == step
        checkpoint.save(folder, "last", made(3))
        assert equal(checkpoint.load(folder, "last"), made(3))
        assert os.listdir(folder) == ["last"]
    assert steps == sorted(steps)
    assert set(steps) == {1, 2}


def test_a_disk_that_is_full_leaves_the_old_checkpoint_and_no_temporary_files(tmp_path, faults):
    with faults() as found:
        checkpoint.save(tmp_path / "count", "last", made(1))
    for at in range(found.count):
        folder = tmp_path / f"{at}"
        checkpoint.save(folder, "last", made(1))
        with faults(at, "fail") as injected, suppress(OutputError):
            checkpoint.save(folder, "last", made(2))
        assert injected.count > at
        assert "last.tmp" not in os.listdir(folder)
        assert checkpoint.load(folder, "last").state["step"] in (1, 2)


def test_one_flipped_bit_anywhere_is_found_or_changes_nothing(tmp_path):
    folder = tmp_path / "checkpoints"
    checkpoint.save(folder, "best", made(1))
    rng, errors = np.random.default_rng(0), []
    for name in (*checkpoint.FILES, checkpoint.MANIFEST):
        path = folder / "best" / name
        good = path.read_bytes()
        for _ in range(40):
            bad = bytearray(good)
            bad[rng.integers(len(bad))] ^= 1 << rng.integers(8)
            path.write_bytes(bad)
            try:
                assert equal(checkpoint.load(folder, "best"), made(1))
                assert name == checkpoint.MANIFEST  # e.g. the version that wrote it
            except CheckpointError as error:
                errors.append(error)
        path.write_bytes(good)
    assert len(errors) > 150
    assert all(str(folder / "best") in error.what for error in errors)


@pytest.mark.parametrize("name", [*checkpoint.FILES, checkpoint.MANIFEST])
@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "longer"])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path, name, damage):
    folder = tmp_path / "checkpoints"
    checkpoint.save(folder, "best", made(1))
    path = folder / "best" / name
    data = path.read_bytes()
    path.write_bytes({"cut": data[:-2], "empty": b"", "longer": data + b"\0"}.get(damage, data))
    if damage == "gone":
        path.unlink()
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(folder, "best")
    assert name in caught.value.what


def test_a_resume_takes_the_previous_good_checkpoint_and_warns(tmp_path):
    folder = tmp_path / "checkpoints"
    checkpoint.save(folder, "best", made(1))
    checkpoint.save(folder, "last", made(2))
    shutil.copytree(folder / "last", folder / "last.old")
    checkpoint.save(tmp_path / "newer", "last", made(3))
    shutil.rmtree(folder / "last")
    shutil.move(tmp_path / "newer" / "last", folder / "last")
    (folder / "last" / "state.json").write_bytes(b"{}")

    with pytest.raises(CheckpointError, match=r"state\.json"):
        checkpoint.load(folder, "last")
    found = checkpoint.load(folder, "last", fallback=True)
    assert equal(found, made(2))
    assert "state.json" in found.warnings[0]
    assert "last.old" in found.warnings[1]

    (folder / "last.old" / "model.safetensors").unlink()
    found = checkpoint.load(folder, "last", fallback=True)
    assert equal(found, made(1))
    assert len(found.warnings) == 3

    (folder / "best" / checkpoint.MANIFEST).unlink()
    with pytest.raises(CheckpointError, match=r"state\.json"):
        checkpoint.load(folder, "last", fallback=True)


def test_there_being_no_checkpoint_says_what_there_is(tmp_path):
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(tmp_path / "checkpoints", "best")
    assert caught.value.why == "nothing has been saved yet"
    checkpoint.save(tmp_path / "checkpoints", "last", made(1))
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(tmp_path / "checkpoints", "best")
    assert caught.value.why == "there is: last"


def test_a_reader_meets_a_writer_that_replaces_the_checkpoint_meanwhile(tmp_path, monkeypatch):
    folder = tmp_path / "checkpoints"
    checkpoint.save(folder, "last", made(1))
    verified, writes = checkpoint._verified, iter(range(2, 5))

    def slow(path, entry):
        if path.name == "state.json" and (step := next(writes, None)):
            checkpoint.save(folder, "last", made(step))
        return verified(path, entry)

    monkeypatch.setattr(checkpoint, "_verified", slow)
    assert equal(checkpoint.load(folder, "last"), made(4))


def rewritten(folder, which, **files):
    """Replaces files of a checkpoint, manifest and all, as someone malicious could."""
    contents = {p.name: p.read_bytes() for p in (folder / which).iterdir()} | files
    manifest = json.loads(contents.pop(checkpoint.MANIFEST))
    for name, data in contents.items():
        digest = checkpoint.hashlib.sha256(data).hexdigest()
        manifest["files"][name] = {"sha256": digest, "bytes": len(data)}
    atomic.replace_folder(
        folder / which, {**contents, checkpoint.MANIFEST: json.dumps(manifest).encode()}
    )


def header(fields, data=b""):
    raw = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def entry(start, end, shape=(1,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


BAD_TENSORS = {
    "nothing": b"",
    "a header of 2^63 bytes": struct.pack("<Q", 2**63) + b"{}",
    "a header longer than the file": struct.pack("<Q", 100) + b"{}",
    "a header that is no JSON": header(b"{nonsense"),
    "a header that nests deeply": header(b'{"a":' * 50_000),
    "a header that is a list": header(b"[]"),
    "a truncated tensor": header({"a": entry(0, 4)}, b"123"),
    "overlapping tensors": header({"a": entry(0, 4), "b": entry(0, 4)}, b"1234"),
    "a hole": header({"a": entry(4, 8)}, b"12341234"),
    "bytes after the last tensor": header({"a": entry(0, 4)}, b"12345"),
    "a name twice": header(b'{"a":%b,"a":%b}' % (2 * (json.dumps(entry(0, 4)).encode(),)), b"1234"),
    "a shape that overflows": header({"a": entry(0, 4, (2**40, 2**40))}, b"1234"),
    "a shape that is not its size": header({"a": entry(0, 4, (2,))}, b"1234"),
    "a dtype we never write": header({"a": entry(0, 4, (2,), "BF16")}, b"1234"),
    "a dtype that is none": header({"a": entry(0, 4, (1,), ["F32"])}, b"1234"),
}


@pytest.mark.parametrize("data", BAD_TENSORS.values(), ids=BAD_TENSORS.keys())
def test_tensors_are_checked_before_they_are_believed(tmp_path, data):
    folder = tmp_path / "checkpoints"
    checkpoint.save(folder, "best", made(1))
    rewritten(folder, "best", **{"model.safetensors": data})
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        checkpoint.load(folder, "best")


def test_weights_that_are_not_finite_are_refused_unless_allowed(tmp_path):
    spoiled = made(1)
    spoiled.tensors["dense.bias"][2] = np.nan
    checkpoint.save(tmp_path, "best", spoiled)
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(tmp_path, "best")
    assert "dense.bias" in caught.value.why
    assert np.isnan(
        checkpoint.load(tmp_path, "best", allow_nonfinite=True).tensors["dense.bias"][2]
    )


def test_a_newer_format_asks_for_the_version_that_wrote_it(tmp_path):
    checkpoint.save(tmp_path, "best", made(1))
    path = tmp_path / "best" / checkpoint.MANIFEST
    manifest = {**json.loads(path.read_bytes()), "schema": 2, "dlcli": "9.1"}
    path.write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match=r"needs dlcli ≥ 9\.1"):
        checkpoint.load(tmp_path, "best")


def test_tensors_that_do_not_fit_the_model_are_named_and_nothing_is_copied():
    class Model(SimpleNamespace):
        def state_dict(self):
            return self.own

        def load_state_dict(self, found):
            raise AssertionError("must not be reached")

    own = made(1).tensors
    own["more"] = own.pop("dense.bias")
    own["dense.weight"] = own["dense.weight"].astype(np.float64)
    with pytest.raises(CheckpointError) as caught:
        checkpoint.restore(Model(own=own), made(1))
    for phrase in (
        "more is missing",
        "dense.bias is not in the model",
        "dense.weight is float32[5, 3], not float64[5, 3]",
    ):
        assert phrase in caught.value.why


@pytest.mark.parametrize("suffix", [".pt", ".pkl", ".h5", ".npy", ".CKPT"])
def test_a_file_that_may_hold_code_is_refused_unopened(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(f"cos\nsystem\n(S'touch {tmp_path}/ran'\ntR.".encode())
    with pytest.raises(CheckpointError, match="unsafe format"):
        checkpoint.load(path, "best")
    assert not (tmp_path / "ran").exists()
