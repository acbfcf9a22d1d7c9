"""Tiny Shakespeare: 40,000 lines of his plays in one text file (Karpathy 2015).

There are no published parts; they are cut as those of any text, see `language`.
"""

from pathlib import Path

from dlcli.data.language import recipe

DESCRIPTION = "lines of Shakespeare's plays, a text to learn a language from"
KINDS = {"characters": (100, 66), "words": (35, 7_181)}
CLASSES: list[str] = []
COUNTS = {"text": 1_115_394}  # characters
RECIPE: dict[str, object] = recipe(948_086, 100)  # what any text of its length gets
HOMEPAGE = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
)
FOLDERS = ("tinyshakespeare",)
FILES = ("input.txt",)


def missing(folder: Path) -> list[str]:
    """The names of the files that `folder` lacks."""
    return [name for name in FILES if not (folder / name).is_file()]


def place(folder: Path) -> Path:
    """The file that its kind reads as it reads a user's own."""
    return folder / FILES[0]
