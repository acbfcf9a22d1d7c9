"""The HTML page of a report. All that comes from outside, names of classes among it, is escaped;
the page has no script and may load nothing.
"""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Iterator, Mapping, Sequence
from string import Template
from typing import Any

from dlcli import __version__
from dlcli.cli import output, run_facts
from dlcli.cli.report_contents import Contents, Picture
from dlcli.cli.report_style import STYLE

MIB = 1 << 20
MOST_ROWS = 200  # of epochs; more are thinned out
MOST_ITEMS = 100  # of a list of an evaluation
PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>$style</style>
</head>
<body>
<header>
<h1>$title</h1>
<p>$subtitle</p>
$tiles
</header>
<main>
$sections
</main>
<footer>$footer</footer>
</body>
</html>
""")


def page(contents: Contents) -> str:
    """The whole page."""
    facts = contents.facts
    about = [f"{facts.get('model')} on {facts.get('data')}", str(facts["state"])]
    if (stop := facts.get("stop")) and stop != "epochs":
        about.append(f"stopped by {stop}")
    sections = "\n".join(filter(None, _sections(contents)))
    return PAGE.substitute(
        title=text(facts["name"]),
        style=STYLE,
        subtitle=text(" · ".join(about)),
        tiles=_tiles(contents),
        sections=sections,
        footer=text(f"dlcli {__version__}"),
    )


def text(value: Any) -> str:
    """Escaped, on one line, without control characters."""
    return html.escape(output.printable(str(value)))


def number(value: Any) -> str:
    """A cell: numbers short, nothing for None, the rest as text."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return text(value)
    if isinstance(value, int):
        return f"{value:,}"
    size = abs(value)
    if not math.isfinite(value) or not size:
        return f"{value:g}"
    if size < 0.01:
        return f"{value:.3g}"
    return f"{value:.4f}" if size < 10 else f"{value:,.2f}"


def _sections(contents: Contents) -> Iterator[str]:
    if contents.notes:
        items = "".join(f"<li>{text(note)}</li>" for note in contents.notes)
        yield section("Not shown", f"<ul>{items}</ul>")
    if contents.facts.get("error"):
        yield section("What went wrong", f"<p>{text(contents.facts['error'])}</p>")
    yield section("Pictures", _gallery(contents.pictures))
    for name, found in contents.evaluations.items():
        yield section(f"Measured: {name}", "".join(_evaluation(found)))
    yield section("Epochs", _epochs(contents))
    yield section("Settings", _pairs(run_facts.flat(contents.config)))
    yield section("Environment", _pairs(run_facts.flat(contents.env)))
    lines = "\n".join(text(line) for line in contents.commands)
    yield section("Again", f"<pre>{lines}</pre>")


def section(title: str, body: str) -> str:
    """A part of the page; nothing without a body."""
    return f"<section><h2>{text(title)}</h2>\n{body}</section>" if body else ""


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], marked: int | None = None) -> str:
    """Rows of numbers and text; the one numbered `marked` stands out."""
    first = rows[0] if rows else header
    head = "".join(
        f"<th scope=col{_side(value)}>{text(name)}</th>"
        for name, value in zip(header, first, strict=True)
    )
    lines = []
    for i, row in enumerate(rows):
        cells = "".join(f"<td{_side(value)}>{number(value)}</td>" for value in row)
        lines.append(f"<tr{' class=best' if i == marked else ''}>{cells}</tr>")
    body = "\n".join(lines)
    whole = f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>"
    return f'<div class=scroll tabindex="0">{whole}</div>'


def _side(value: Any) -> str:
    return " class=t" if isinstance(value, str) else ""


def _tiles(contents: Contents) -> str:
    """The few figures that matter most."""
    facts = contents.facts
    tiles: list[tuple[str, Any]] = []
    monitor, best = facts.get("monitor"), facts.get("best") or {}
    if isinstance(best, dict) and isinstance(best.get(monitor), float):
        tiles.append((f"best {monitor}, epoch {best.get('epoch')}", best[monitor]))
    test = contents.evaluations.get("test", {})
    plain = [(k, v) for k, v in test.items() if isinstance(v, float)]
    tiles += [(f"test {name}", value) for name, value in plain[:3]]
    for key, unit in (("epoch", "epochs"), ("step", "steps"), ("seconds", "seconds of training")):
        if facts.get(key) is not None:
            value = facts[key]
            tiles.append((unit, f"{value:,.1f}" if isinstance(value, float) else value))
    cells = (f"<div><b>{number(value)}</b><span>{text(name)}</span></div>" for name, value in tiles)
    return f"<div class=tiles>{''.join(cells)}</div>" if tiles else ""


def _gallery(pictures: Sequence[Picture]) -> str:
    figures = []
    for picture in pictures:
        data = base64.b64encode(picture.data).decode("ascii")
        caption = text(picture.caption)
        image = f'<img alt="{caption}" src="data:{picture.mime};base64,{data}">'
        where = f"<code>{text(picture.name)}</code>"
        figures.append(f"<figure>{image}<figcaption>{caption} {where}</figcaption></figure>")
    return f"<div class=gallery>{''.join(figures)}</div>" if figures else ""


def _evaluation(found: Mapping[str, Any]) -> Iterator[str]:
    """Its plain values, and each list of its objects as a table."""
    plain: dict[str, Any] = {}
    for key, value in found.items():
        if isinstance(value, dict):
            plain |= {f"{key} {k}": v for k, v in value.items() if _is_plain(v)}
        elif _is_plain(value):
            plain[key] = value
    yield _pairs({key.replace("_", " "): number(value) for key, value in plain.items()})
    for key, value in found.items():
        if not isinstance(value, list) or not value or not isinstance(value[0], dict):
            continue
        rows = [row for row in value if isinstance(row, dict)]
        columns = [name for name, cell in rows[0].items() if _is_plain(cell)]
        cells = [[row.get(name) for name in columns] for row in rows[:MOST_ITEMS]]
        of = f" (the first {MOST_ITEMS} of {len(rows):,})" if len(rows) > MOST_ITEMS else ""
        shown = [[cell if _is_plain(cell) else None for cell in row] for row in cells]
        yield f"<h3>{text(key.replace('_', ' '))}{of}</h3>{table(columns, shown)}"


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _pairs(values: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<div><dt>{text(key)}</dt><dd>{_value(value)}</dd></div>" for key, value in values.items()
    )
    return f"<dl>{rows}</dl>" if rows else ""


def _value(value: Any) -> str:
    """A setting, as it is written."""
    if isinstance(value, list):
        return text(", ".join(map(str, value)))
    return f"{value:g}" if isinstance(value, float) else number(value)


def _epochs(contents: Contents) -> str:
    """A row for each validation, the best one marked."""
    records = contents.records
    if not records:
        return "<p>No epoch is done.</p>"
    names = [key for record in records for key, value in record.items() if _is_plain(value)]
    columns = list(dict.fromkeys(names))
    step = -(-len(records) // MOST_ROWS)
    best = contents.facts.get("best")
    at = best.get("step") if isinstance(best, dict) else None
    last = len(records) - 1
    shown = [r for i, r in enumerate(records) if i % step == 0 or i == last or r.get("step") == at]
    marked = next((i for i, r in enumerate(shown) if at is not None and r.get("step") == at), None)
    rows = [[*(r.get(name) for name in columns), _seconds(r)] for r in shown]
    note = "" if step == 1 else f"<p>Every {step}th of {len(records):,}, the best and the last.</p>"
    return note + table([*columns, "seconds"], rows, marked) + _spent(records)


def _spent(records: Sequence[Mapping[str, Any]]) -> str:
    """How long no batch was ready, and the most memory, where the records say so."""
    timings = [t for r in records if isinstance(t := r.get("timing"), dict)]
    keys = ("waited", "seconds")
    known = [t for t in timings if all(isinstance(t.get(key), float) for key in keys)]
    waited, seconds = (math.fsum(t[key] for t in known) for key in keys)
    peaks = [v for t in timings if isinstance(v := t.get("peak_bytes"), int)]
    found = {"waiting for data": f"{waited / seconds:.1%}"} if seconds else {}
    found |= {"memory, at most": f"{max(peaks) / MIB:,.0f} MiB"} if peaks else {}
    return _pairs(found)


def _seconds(record: Mapping[str, Any]) -> Any:
    timing = record.get("timing")
    found = timing.get("seconds") if isinstance(timing, dict) else None
    return round(found, 3) if isinstance(found, float) else found
