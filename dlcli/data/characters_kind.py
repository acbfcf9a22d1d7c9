"""The characters of a text as samples, each to be predicted from those before it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dlcli.data.language import Language

if TYPE_CHECKING:
    from dlcli.data.plain_text import Codes


class Characters(Language):
    """See `Language`."""

    name, unit, many = "characters", "character", "characters"
    base = (100, 10_000)
    least = 1

    def read(self, path: Path) -> Codes:
        from dlcli.data import plain_text

        return plain_text.characters(path)

    def split(self, text: str) -> list[str]:
        return list(text)


KIND = Characters()
