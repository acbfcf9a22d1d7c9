"""What the `dlcli runs` commands say of a run, from its files alone: no model is built."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlcli.errors import CheckpointError, UsageError
from dlcli.train.run import RunDir, list_runs

FOLDER = Path("runs")  # where `dlcli train` makes its runs


def inside(folder: Path | None) -> list[RunDir]:
    """The runs of a folder, the usual one by default. UsageError: the folder is not there."""
    if folder is not None and not folder.is_dir():
        what = f"{folder}: there is no such folder"
        raise UsageError(what, hint="say where your runs are")
    return list_runs(folder or FOLDER)


def facts(run: RunDir) -> dict[str, Any]:
    """Name, path, model, data, seed, state, epochs, steps, seconds, and the best record; a run
    whose files are damaged has "damaged" with the reason, and what can still be said.
    """
    found: dict[str, Any] = {"name": run.name, "path": run.path}
    try:
        config = run.config()
        model, data, train = (_table(config, name) for name in ("model", "data", "train"))
        found |= {"model": model.get("name"), "data": data.get("source")}
        found |= {"seed": train.get("seed"), "monitor": train.get("monitor")}
        status = run.status()
    except CheckpointError as error:
        return {**found, "state": "damaged", "damaged": error.what, "bytes": size(run.path)}
    found |= {"state": status.get("state", "not begun")}
    for key in ("epoch", "step", "seconds", "started", "updated", "best", "last", "error", "stop"):
        found[key] = status.get(key)
    return {**found, "bytes": size(run.path)}


def _table(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = config.get(name)
    return table if isinstance(table, dict) else {}


def size(path: Path) -> int:
    """Bytes of all files below a folder, without following links."""
    return sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir())


def monitored(found: Mapping[str, Any]) -> str:
    """The figure by which the best checkpoint was chosen, with its value: "val_accuracy 0.9922"."""
    best, monitor = found.get("best"), found.get("monitor")
    if not best or best.get(monitor) is None:
        return ""
    value = best[monitor]
    return f"{monitor} {value:.4f}" if isinstance(value, float) else f"{monitor} {value:,}"


def flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """{"train.lr": 0.002} of nested tables."""
    found: dict[str, Any] = {}
    for table, values in config.items():
        if isinstance(values, dict):
            found |= {f"{table}.{key}": value for key, value in flat(values).items()}
        else:
            found[table] = values
    return found
