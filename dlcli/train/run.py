"""The run directory, the unit that commands pass on.

    runs/<model>-<data>-<n>/
        config.toml      what was asked for, resolved        env.json    with what it ran
        metrics.jsonl    a line per validation               status.json running, finished, …
        checkpoints/     best/ and last/                     nan.json    after a NaN
        samples/  plots/

One process at a time writes in it, the one that holds the lock; anyone may read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dlcli.train.checkpoint import Checkpoint


class RunDir:
    """A run on disk. `path` is its folder, `name` the folder's name."""

    path: Path
    name: str

    @classmethod
    def create(
        cls, model: str, data: str, out: str | Path | None = None, base: str | Path = "runs"
    ) -> RunDir:
        """Makes `out`, or the next free `base`/<model>-<data>-<n>; no two processes get the same.

        UsageError: `out` exists. OutputError: it cannot be made.
        """
        raise NotImplementedError

    @classmethod
    def open(cls, path: str | Path) -> RunDir:
        """The run at `path`. CheckpointError: it is not a run; the message says what is missing."""
        raise NotImplementedError

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the run for this process; may be nested. The lock of a dead process is no lock.

        To resume, hold it around loading the checkpoint and `Trainer.fit`.
        UsageError: another process holds it; the message has its pid.
        """
        raise NotImplementedError

    def write_config(self, config: Mapping[str, Any]) -> None:
        """config.toml, nested tables of plain values; None is left out."""
        raise NotImplementedError

    def config(self) -> dict[str, Any]:
        """What config.toml says. CheckpointError: it is damaged."""
        raise NotImplementedError

    def write_env(self, **more: Any) -> None:
        """env.json: versions, platform, CPU, and `more`, e.g. threads=2."""
        raise NotImplementedError

    def env(self) -> dict[str, Any]:
        """What env.json says."""
        raise NotImplementedError

    def write_status(self, **changes: Any) -> None:
        """Updates status.json."""
        raise NotImplementedError

    def status(self) -> dict[str, Any]:
        """What status.json says, {} if there is none yet.

        "state" is running, finished, interrupted or failed, or "killed" where the file still
        says running and no process holds the run.
        """
        raise NotImplementedError

    def append_metrics(self, record: Mapping[str, Any]) -> None:
        """A line of metrics.jsonl; NaN and infinities become null."""
        raise NotImplementedError

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; one cut short by a crash is left out."""
        raise NotImplementedError

    def load(self, which: str = "best", *, fallback: bool = False) -> Checkpoint:
        """`checkpoint.load` of this run's checkpoints."""
        raise NotImplementedError

    def folder(self, name: str) -> Path:
        """A sub-folder such as "plots" or "samples", made when asked for."""
        raise NotImplementedError


def list_runs(base: str | Path = "runs") -> list[RunDir]:
    """The runs in `base`, oldest first; folders that are no runs are passed over."""
    raise NotImplementedError
