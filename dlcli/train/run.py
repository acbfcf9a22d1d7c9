"""The run directory, the unit that commands pass on.

    runs/<model>-<data>-<n>/
        config.toml      what was asked for, resolved        env.json    with what it ran
        metrics.jsonl    a line per validation               status.json running, finished, …
        checkpoints/     best/ and last/                     nan.json    after a NaN
        skipped.jsonl    a line per step skipped for a NaN
        samples/  plots/  evaluations/  explanations/  tensorboard/  report.html

One process at a time writes in it, the one that holds the lock; anyone may read.
"""

from __future__ import annotations

import os
import platform
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock
import tomli_w

from dlcli.errors import CheckpointError, OutputError, UsageError
from dlcli.train import atomic, checkpoint, environment, jsonfile
from dlcli.train.checkpoint import Checkpoint

MOST_CONFIG = 1 << 20  # bytes


class RunDir:
    """A run on disk. `path` is its folder, `name` the folder's name."""

    def __init__(self, path: Path) -> None:
        """`create` and `open` are the ways to get one."""
        self.path = path
        self.name = path.resolve().name
        # The operating system frees the lock of a process that dies, so it is never stale.
        self._lock = filelock.FileLock(path / ".lock", timeout=0, thread_local=False)

    def __repr__(self) -> str:
        return f"RunDir({str(self.path)!r})"

    @classmethod
    def create(
        cls, model: str, data: str, out: str | Path | None = None, base: str | Path = "runs"
    ) -> RunDir:
        """Makes `out`, or the next free `base`/<model>-<data>-<n>; no two processes get the same.

        UsageError: `out` exists. OutputError: it cannot be made.
        """
        if out is not None:
            path = Path(out)
            atomic.make_folder(path.parent)
            with atomic.output_errors(path):
                try:
                    os.mkdir(path)
                except FileExistsError as error:
                    raise UsageError(
                        f"{path} exists already",
                        why="a run never overwrites anything",
                        hint="give --out another name, or leave it out",
                    ) from error
            return cls(path)
        folder = atomic.make_folder(Path(base))
        stem = f"{_slug(model)}-{_slug(Path(data).name)}"
        number = 1 + max(_numbers(folder, stem), default=0)
        while True:
            path = folder / f"{stem}-{number}"
            with atomic.output_errors(path):
                try:
                    os.mkdir(path)  # either makes it or fails: the arbiter between processes
                    return cls(path)
                except FileExistsError:
                    number += 1

    @classmethod
    def open(cls, path: str | Path) -> RunDir:
        """The run at `path`. CheckpointError: it is not a run; the message says what is missing."""
        path = Path(path)
        checkpoint.refuse_unsafe(path)
        if not os.path.isdir(path):
            why = "it is a file" if os.path.lexists(path) else "there is no such folder"
            hint = "a run is a folder that `dlcli train` made, such as runs/cnn-digits-1"
            raise CheckpointError(f"{path}: not a run", why=why, hint=hint)
        if not os.path.isfile(path / "config.toml"):
            hint = "a training that was killed as it began leaves this: the folder can go"
            hint = hint if os.path.lexists(path / ".lock") else ""
            if os.path.isfile(path / checkpoint.MANIFEST):
                hint = f"this is one of its checkpoints; give {path.parent.parent}"
            raise CheckpointError(f"{path}: not a run", why="config.toml is missing", hint=hint)
        return cls(path)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the run for this process; may be nested. The lock of a dead process is no lock.

        To resume, hold it around loading the checkpoint and `Trainer.fit`.
        UsageError: another process holds it; the message has its pid.
        """
        first = not self._lock.is_locked
        with atomic.output_errors(self.path):
            try:
                self._lock.acquire()
            except filelock.Timeout as error:
                raise UsageError(
                    f"{self.path}: locked by pid {self._holder() or 'unknown'}",
                    why="another process is training in this run",
                    hint="wait for it, or start a new run",
                ) from error
        try:
            if first:
                atomic.tidy(self.path)
                atomic.write_file(self.path / ".pid", b"%d\n" % os.getpid())
            yield
        finally:
            self._lock.release()

    def _holder(self) -> int | None:
        """The pid of the process that locked the run last."""
        try:
            return int((self.path / ".pid").read_text()[:20])
        except (OSError, ValueError):
            return None

    # --- config.toml and env.json

    def write_config(self, config: Mapping[str, Any]) -> None:
        """config.toml, nested tables of plain values; None is left out."""
        text = tomli_w.dumps(_without_none(jsonfile.plain(config)))
        atomic.write_file(self.path / "config.toml", text.encode("utf-8"))

    def config(self) -> dict[str, Any]:
        """What config.toml says. CheckpointError: it is damaged."""
        path = self.path / "config.toml"
        try:
            return tomllib.loads(jsonfile.read_bytes(path, MOST_CONFIG).decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{path}: damaged", why=str(error)) from error

    def write_env(self, **more: Any) -> None:
        """env.json: versions, platform, CPU, and `more`, e.g. threads=2."""
        atomic.write_file(self.path / "env.json", jsonfile.dumps(environment.describe(**more)))

    def env(self) -> dict[str, Any]:
        """What env.json says."""
        return jsonfile.read(self.path / "env.json")

    # --- status.json

    def write_status(self, **changes: Any) -> None:
        """Updates status.json; a change to None removes the key."""
        status = self._status()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        status = {"state": "running", "started": now, **status, **changes}
        status |= {"updated": now, "pid": os.getpid(), "host": platform.node()}
        data = jsonfile.dumps({k: v for k, v in status.items() if v is not None})
        atomic.write_file(self.path / "status.json", data)

    def status(self) -> dict[str, Any]:
        """What status.json says, {} if there is none that can be read.

        "state" is running, finished, interrupted or failed, or "killed" where the file still
        says running and its process is gone.
        """
        status = self._status()
        here = status.get("host") == platform.node()
        if status.get("state") == "running" and here and not _alive(status.get("pid")):
            status["state"] = "killed"
        return status

    def _status(self) -> dict[str, Any]:
        try:
            return jsonfile.read(self.path / "status.json")
        except CheckpointError:
            return {}  # none yet, or damaged: nothing depends on it and the next one replaces it

    # --- metrics.jsonl

    def append_metrics(self, record: Mapping[str, Any]) -> None:
        """A line of metrics.jsonl; NaN and infinities become null."""
        atomic.append(self.path / "metrics.jsonl", jsonfile.dumps(record, indent=None))

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; one cut short by a crash is left out."""
        path = self.path / "metrics.jsonl"
        if not path.exists():
            return []
        lines = jsonfile.read_bytes(path).split(b"\n")[:-1]
        return [jsonfile.loads(line, f"{path}:{i}") for i, line in enumerate(lines, 1)]

    def truncate_metrics(self, lines: int) -> int:
        """`truncate` of metrics.jsonl."""
        return self.truncate("metrics.jsonl", lines)

    def truncate(self, name: str, lines: int) -> int:
        """Keeps the first `lines` lines of a file, those that a checkpoint knows of; returns how
        many there are.
        """
        path = self.path / name
        data = jsonfile.read_bytes(path) if path.exists() else b""
        complete = data.split(b"\n")[:-1]
        kept = b"".join(line + b"\n" for line in complete[:lines])
        if kept != data:
            atomic.write_file(path, kept)
        return min(lines, len(complete))

    # --- folders

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints, which may not exist yet."""
        return self.path / "checkpoints"

    def load(self, which: str = "best", *, fallback: bool = False) -> Checkpoint:
        """`checkpoint.load` of this run's checkpoints."""
        return checkpoint.load(self.checkpoints, which, fallback=fallback)

    def untouched(self) -> bool:
        """Whether nothing was ever saved, so that the run may begin at its first step.

        A first save that was cut short is nothing; a damaged checkpoint or a lost one is not.
        """
        there = self.checkpoints.iterdir() if self.checkpoints.is_dir() else ()
        return all(path.suffix == ".tmp" for path in there) and not self.metrics()

    def folder(self, name: str) -> Path:
        """A sub-folder such as "plots" or "samples", made when asked for."""
        return atomic.make_folder(self.path / name)


def list_runs(base: str | Path = "runs") -> list[RunDir]:
    """The runs in `base`, oldest first; folders that are no runs are passed over."""
    try:
        folders = [p for p in Path(base).iterdir() if (p / "config.toml").is_file()]
        return [RunDir(p) for p in sorted(folders, key=lambda p: (p.stat().st_ctime, p.name))]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise OutputError(f"{base}: cannot be read", why=error.strerror or str(error)) from error


def _slug(name: str) -> str:
    """`name` as a part of a folder's name: letters, digits, dots and dashes, not too long."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")[:60] or "data"


def _numbers(folder: Path, stem: str) -> list[int]:
    pattern = re.compile(re.escape(stem) + r"-([0-9]{1,9})")
    with atomic.output_errors(folder):
        found = (pattern.fullmatch(entry) for entry in os.listdir(folder))
        return [int(match[1]) for match in found if match]


def _alive(pid: Any) -> bool:
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's
    return True


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return value
