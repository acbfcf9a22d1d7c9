"""Samples as people look at them: every kind in a line, as a hash, in figures, as a picture."""

from types import SimpleNamespace

import numpy as np
import pytest

from dlcli.data import contact_sheet, kind, views
from dlcli.data.dataset import ArraySplit
from dlcli.data.text import TextSplit
from dlcli.errors import UsageError

LABELS = np.array([0, 1, 1, 0])


class Table:
    """Rows as a table gives them: columns of values."""

    labels = LABELS

    def __init__(self, **columns):
        self.columns = {name: np.array(values, object) for name, values in columns.items()}

    def __len__(self):
        return len(next(iter(self.columns.values())))

    def samples(self, rows):
        return Table(**{name: values[rows] for name, values in self.columns.items()})


def dataset(split, shape=(4, 4, 1)):
    return SimpleNamespace(splits={"train": split}, shape=shape, classes=["a", "b"])


def test_rows_of_a_table_are_words_hashes_and_figures():
    split = Table(age=[39.0, float("nan"), 39.0, 2.0], job=["cook", "cook", "cook", ""])
    view = views.VIEWS["table"]
    rows = list(views.samples(split, view))
    assert [view.line(row) for row in rows[:2]] == ["age=39, job=cook", "age=, job=cook"]
    contents = [view.content(row) for row in rows]
    assert contents[0] == contents[2]
    assert len(set(contents)) == 3
    assert view.measure(dataset(split), "train") == {"columns": 2, "missing_cells": 2}


def test_texts_are_counted_and_hashed_by_their_words():
    split = TextSplit("train", ["One two", "one  TWO", "one", "onetwo"], LABELS)
    view = views.VIEWS["text"]
    contents = [view.content(sample) for sample in views.samples(split, view)]
    assert contents[0] == contents[1]
    assert len(set(contents)) == 3
    figures = view.measure(dataset(split), "train")
    assert figures["different_words"] == 3
    assert figures["words"]["max"] == 2


def test_figures_of_images_are_exact():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 4, 3)).astype(np.uint8)
    figures = views.VIEWS["image"].measure(dataset(ArraySplit("train", pixels, LABELS)), "train")
    values = pixels.reshape(-1, 3) / 255
    np.testing.assert_allclose(figures["mean"], values.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(figures["std"], values.std(axis=0), rtol=1e-12)


def test_a_sound_is_drawn_where_it_is_loud():
    wave = np.concatenate([np.zeros(50), np.sin(np.arange(50.0)), np.zeros(50)]).astype(np.float32)
    drawn = views.VIEWS["audio"].picture(wave, dataset(None, shape=(300, 8000)))
    height = (drawn[..., 0] == views.INK).sum(axis=0)
    loud = np.flatnonzero(height > 5)
    assert 50 * views.WIDE / 300 - 2 <= loud.min() < loud.max() <= 100 * views.WIDE / 300 + 2
    assert not height[views.WIDE // 2 + 2 :].any()


def test_what_says_nothing_one_by_one_is_refused():
    with pytest.raises(UsageError, match="cannot be looked at one by one"):
        views.of(kind.of("characters"))
    assert views.of(kind.of("picture")) is views.VIEWS["image"]


def test_samples_are_chosen_of_the_classes_in_turn():
    split = ArraySplit("train", np.zeros((9, 2, 2, 1), np.uint8), np.array([0] * 7 + [1] * 2))
    rows = views.chosen(split, 9, ["a", "b"], seed=0)
    assert sorted(rows) == list(range(9))
    assert split.labels[rows].tolist() == [0, 1, 0, 1, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(("side", "shown"), [(8, 64), (28, 56), (100, 100)])
def test_a_sheet_shows_every_picture_with_square_pixels(side, shown):
    pictures = [np.full((side, side, 1), 10 * (i + 1), np.uint8) for i in range(6)]
    sheet = contact_sheet.draw(pictures, ["a long name of a class", *"bcdef"])
    levels, counts = np.unique(sheet[..., 0], return_counts=True)
    area = dict(zip(levels.tolist(), counts.tolist(), strict=True))
    assert all(area[10 * (i + 1)] >= shown * shown for i in range(6))
    assert sheet.shape[2] == 3


def test_a_sheet_without_labels_has_no_lines_for_them():
    pictures = [np.zeros((64, 64, 3), np.uint8)] * 4
    bare, labelled = (contact_sheet.draw(pictures, labels) for labels in ([""] * 4, ["x"] * 4))
    assert bare.shape[0] < labelled.shape[0]
