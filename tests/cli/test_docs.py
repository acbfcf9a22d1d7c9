"""Every example in README.md and docs/ is run, on small data, in the order of its page."""

import re
import shutil
from pathlib import Path

import pytest

from dlcli.data import facades
from tests.cli import bash, pages, small_data, test_text, test_translate

CNN = pages.ROOT / "dlcli" / "models" / "cnn.py"
READER_ENDED = 141  # `head` had enough, which pipefail tells
CALL = re.compile(r"^ *(\$ )?dlcli \w+ ", re.MULTILINE)

OWN = {  # page -> what its reader has, and what writes it
    "README.md": {
        "reviews.csv": test_text.write_table,
        "my.txt": small_data.write_text,
        "pairs.tsv": test_translate.write_pairs,
        "people.csv": small_data.write_people,
        "series.csv": small_data.write_series,
        "ratings.csv": small_data.write_ratings,
        "sounds": small_data.write_sounds,
        "photos": small_data.write_photos,
        "my_model.py": lambda path: shutil.copy(CNN, path),
    },
    "data.md": {"pets": small_data.write_pets},
    "language.md": {"my.txt": small_data.write_text},
    "pictures.md": {"labels.png": small_data.write_label_map},
    "sounds.md": {
        "words": small_data.write_sounds,
        "new.wav": small_data.write_sound,
        "recordings/a.wav": small_data.write_sound,
    },
    "tables.md": {"other.csv": small_data.write_more_people},
    "texts.md": {"reviews.csv": test_text.write_table},
    "translation.md": {"pairs.tsv": test_translate.write_pairs},
}
EARLIER = {  # page -> what its reader has done
    "finetuning.md": "dlcli train cnn-small --epochs 1 --out runs/digits-small",
}
NOT_RUN = {  # the beginning of a line -> why
    "python3 -m venv": "installs from the network",
    "pip install": "installs from the network",
    "python tests/fuzz/run.py": "searches for as long as it is told to, a minute at least",
    "pytest tests/fuzz": "is a part of these tests itself",
}
# What is typed -> what is run, where it would take too long: the epochs of recipes are for real
# data, and for one's own so many as make some hundred steps.
CHANGED = {
    "dlcli train cnn --out": "dlcli train cnn --epochs 14 --out",  # enough for the pages' gates
    "dlcli train vae --conditional": "dlcli train vae --epochs 15 --conditional",  # the same
    "dlcli train mlp --set": "dlcli train mlp --epochs 2 --set",
    "dlcli train mlp --data people": "dlcli train mlp --epochs 10 --data people",
    "dlcli train --model-file": "dlcli train --epochs 2 --model-file",
    "dlcli train cnn --no-plan": "dlcli train cnn --epochs 2 --no-plan",
    "dlcli train char-lm --data my": "dlcli train char-lm --epochs 2 --data my",
    "dlcli train word-lm": "dlcli train word-lm --max-steps 5",
    "dlcli train seq2seq": "dlcli train seq2seq --epochs 2",
    "dlcli train forecast --data series": "dlcli train forecast --epochs 2 --data series",
    "dlcli train forecast --data daily": "dlcli train forecast --epochs 2 --data daily",
    "dlcli train audio-cnn": "dlcli train audio-cnn --epochs 2",
    "dlcli train dcgan": "dlcli train dcgan --epochs 2",
    "dlcli train vae --data": "dlcli train vae --epochs 2 --data",
    "dlcli train autoencoder": "dlcli train autoencoder --epochs 2",
    "dlcli train pix2pix --data facades --direction right": (
        "dlcli train pix2pix --epochs 1 --data facades --direction right"
    ),
    "--epochs 90": "--epochs 1",
    "--resume runs/first --epochs 32": "--resume runs/first --epochs 15",
    "-c runs/first/config.toml": "-c runs/first/config.toml --epochs 2",
    "--emulate": "--emulate --cases 3",
    "--fail-slower 50%": "--fail-slower 900%",  # other tests run beside it
}


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """A data folder with all datasets that the pages name. Shared: nothing changes it."""
    return small_data.write_published(tmp_path_factory.mktemp("published"))


def lines_run(typed):
    """What is run of an example."""
    kept = [line for line in typed.splitlines() if not line.startswith(tuple(NOT_RUN))]
    if shutil.which("g++") is None:
        kept = [line for line in kept if "--emulate" not in line]
    lines = "\n".join(kept)
    for words, others in CHANGED.items():
        lines = lines.replace(words, others)
    return lines


@pytest.mark.parametrize("page", pages.PAGES)
def test_the_examples_of_a_page_run(page, published, monkeypatch):
    monkeypatch.setenv("DLCLI_DATA", str(published))
    monkeypatch.setitem(facades.COUNTS, "pairs", small_data.PAIRS)
    for name, write in OWN.get(page, {}).items():
        write(Path(name))
    earlier = [(EARLIER[page], 0)] if page in EARLIER else []
    for typed, expected in [*earlier, *pages.examples(page)]:
        code, out, err = bash.run(lines_run(typed))
        assert code in (expected, READER_ENDED), f"{typed}\n{out}\n{err}"


PROGRAMS = [
    pytest.param(text, id=f"{page}-{i}")
    for page in pages.PAGES
    for i, (kind, text) in enumerate(pages.blocks(page))
    if kind == "python"
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_prints_what_the_comments_beside_it_say(program, capsys):
    exec(compile(program, "program", "exec"), {"__name__": "program"})
    printed = capsys.readouterr().out.splitlines()
    comments = re.findall(r"^print\(.*\)(?:  # (.*))?$", program, re.MULTILINE)
    assert len(printed) == len(comments)
    for line, comment in zip(printed, comments, strict=True):
        assert not comment or comment.endswith(line)


def test_calls_stand_in_blocks_of_a_shell_and_nowhere_else():
    for page in pages.PAGES:
        others = [text for kind, text in pages.blocks(page) if kind not in pages.TYPED]
        assert not [text for text in [*others, pages.prose(page)] if CALL.search(text)], page


def test_whatever_is_not_run_as_it_stands_does_stand_on_a_page():
    typed = "\n".join(typed for page in pages.PAGES for typed, _ in pages.examples(page))
    assert [words for words in NOT_RUN if f"\n{words}" not in f"\n{typed}"] == []
    assert [words for words in CHANGED if words not in typed] == []
    assert set(OWN) | set(EARLIER) <= set(pages.PAGES)
