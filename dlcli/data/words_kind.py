"""The words of a text as samples, each to be predicted from those before it; see `plain_text`.

A word that the training part has only once has no id of its own: so that of unknown words occurs in
training and is learned.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dlcli.data.language import Language

if TYPE_CHECKING:
    from dlcli.data.plain_text import Codes


class Words(Language):
    """See `Language`."""

    name, unit, many = "words", "word", "words"
    base = (35, 10_000)
    least = 2

    def read(self, path: Path) -> Codes:
        from dlcli.data import plain_text

        return plain_text.words(path)

    def split(self, text: str) -> list[str]:
        from dlcli.data import plain_text

        return plain_text.units(text)


KIND = Words()
