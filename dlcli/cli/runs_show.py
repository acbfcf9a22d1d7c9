"""dlcli runs show: shows how a run was made, how it went, and what is in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dlcli.cli import output
from dlcli.cli.options import command, output_options


@command(
    "show",
    examples=[
        "dlcli train cnn-small --epochs 2 --out runs/first",
        "dlcli runs show runs/first",
        "dlcli runs show runs/first --json",
    ],
)
@click.argument("run", type=click.Path(path_type=Path))
@output_options
def main(run: Path) -> None:
    """Shows RUN: its settings, the figures of its best and last epoch, its machine, its files."""
    from dlcli.cli import run_facts
    from dlcli.train.run import RunDir

    opened = RunDir.open(run)
    found = {**run_facts.facts(opened), "config": opened.config()}
    found["env"] = opened.env() if (run / "env.json").is_file() else None
    found["files"] = sorted(p.relative_to(run) for p in run.rglob("*") if _shown(p))
    if output.settings.json:
        output.document(found)
        return
    output.text(f"{found['path']}: {found['model']} on {found['data']}, {found['state']}")
    rows: list[tuple[str, Any]] = [
        (k, _plain(v)) for k, v in run_facts.flat(found["config"]).items()
    ]
    for which in ("best", "last"):
        record = found.get(which) or {}
        figures = [f"{k} {v:.4f}" for k, v in record.items() if isinstance(v, float) and k != "lr"]
        if figures:
            rows.append((f"{which} epoch", f"{record['epoch']}: {', '.join(figures)}"))
    if found["env"]:
        env = found["env"]
        rows.append(
            ("machine", f"{env.get('cpu')}, {env.get('cores')} cores, {env.get('platform')}")
        )
        rows.append(("python", f"{env.get('python')}, dlcli {env.get('dlcli')}"))
    rows.append(("files", ", ".join(map(str, found["files"]))))
    width = max(len(key) for key, _ in rows)
    for key, value in rows:
        output.text(f"  {key:<{width}}  {output.printable(str(value))}")


def _shown(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
