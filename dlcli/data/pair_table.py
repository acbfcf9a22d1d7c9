"""A table of sentences and their translations: UTF-8, a pair on each line, `source TAB target`, and
what follows a further tab is passed over. No header, nothing is quoted; empty lines are no pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dlcli.data.dataset import Dataset, Part, fingerprint
from dlcli.data.pair_split import PairSplit, cut
from dlcli.data.text_lines import lines
from dlcli.errors import DataError

SHAPE = (40, 25_000, 40, 25_000)  # words and ids at most, of the source and of the target
BATCH = 64
RECIPE: dict[str, object] = {
    "batch_size": BATCH,
    "lr": 4e-3,
    "clip_norm": 1.0,
    "label_smoothing": 0.1,
}
LEAST_EPOCHS, MOST_EPOCHS, STEPS = 5, 50, 1_500  # a small table is seen more often
LAYOUT = "a line is a sentence, a tab and its translation"


def load(
    path: Path,
    *,
    seed: int = 0,
    options: Mapping[str, Any],
    recipe: Mapping[str, Any] | None = None,
) -> Dataset:
    """The table as a dataset. seed: of the parts. options: max_length, vocabulary. recipe: for
    training on it.

    DataError, with file and line: a row without a tab, an empty sentence; too few sentences.
    """
    from dlcli.data.pair_kind import KIND

    ids, pairs = [], []
    for number, source, target in rows(path):
        ids.append(f"{path}:{number}")
        pairs.append((source, target))
    try:
        parts = cut([source for source, _ in pairs], seed)
    except DataError as error:
        raise DataError(f"{path}: {error.what}", why=error.why) from error
    splits: dict[str, Part] = {}
    for name, chosen in parts.items():
        splits[name] = PairSplit(name, [pairs[i] for i in chosen], [ids[i] for i in chosen])
    shape = KIND.shape(path.name, SHAPE, splits["train"], options)
    return Dataset(
        name=path.stem or "pairs",
        classes=[],
        shape=shape,
        splits=dict(splits),
        recipe=dict(recipe or {"epochs": _epochs(len(splits["train"])), **RECIPE}),
        fingerprint=fingerprint([], shape, splits),
        source=str(path),
        kind=KIND,
    )


def _epochs(n: int) -> int:
    """As many as give STEPS steps on n pairs, within bounds."""
    return min(max(-(-STEPS // -(-n // BATCH)), LEAST_EPOCHS), MOST_EPOCHS)


def rows(path: Path) -> Iterator[tuple[int, str, str]]:
    """(line, source, target) of each pair. DataError: as with `load`."""
    for number, line in lines(path):
        if not line.strip():
            continue
        source, tab, rest = line.partition("\t")
        target = rest.partition("\t")[0]
        if not tab:
            raise DataError(f"{path}:{number}: has no tab", why=LAYOUT)
        if not source.strip() or not target.strip():
            side = "sentence" if not source.strip() else "translation"
            raise DataError(f"{path}:{number}: the {side} is empty", why=LAYOUT)
        yield number, source.strip(), target.strip()


def sources(path: Path) -> Iterator[tuple[int, str]]:
    """(line, source) of each row, whether it has a translation or not."""
    for number, line in lines(path):
        yield number, line.partition("\t")[0]
