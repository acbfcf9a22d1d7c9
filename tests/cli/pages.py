"""README.md and the pages of docs/, and what is typed in their examples."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = {path.name: path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
TYPED = ("sh", "console")  # kinds of blocks
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`(dlcli [^`\n]*)`")
FORM = re.compile(r"…|\[|\b[A-Z]{2,}\b")  # something is left open: RUN, NAME, [--seed N]
CODE = re.compile(r"^\$ echo \$\?\n(\d+)\n", re.MULTILINE)


def blocks(page):
    """(kind, text) of each block, in the order of the page."""
    return BLOCK.findall(PAGES[page].read_text())


def prose(page):
    """The page without its blocks."""
    return BLOCK.sub("", PAGES[page].read_text())


def examples(page):
    """(what is typed, the exit code that it ends with) of each block of a shell, then of each
    sentence and table: calls that name their data or where they write.
    """
    for kind, text in blocks(page):
        if kind in TYPED:
            code = CODE.search(text)
            text = CODE.sub("", text)
            yield _typed(text) if kind == "console" else text, int(code[1]) if code else 0
    for span in SPAN.findall(prose(page)):
        if re.search(r" (--data|-o) ", span) and not FORM.search(span):
            yield span, 0


def _typed(text):
    """What is typed in a console, without what it answers."""
    lines = []
    for line in text.splitlines():
        if line.startswith("$ "):
            lines.append(line[2:])
        elif lines and lines[-1].count('"') % 2:  # a quoted text goes on
            lines[-1] += f"\n{line}"
    return "\n".join(lines)
