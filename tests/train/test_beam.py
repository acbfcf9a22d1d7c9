"""Beam search, against the best of all sentences that a tiny model could write."""

import itertools

import numpy as np
import pytest

from dlcli.train import beam

END, VOCABULARY, LONGEST = 1, 4, 3
WORDS = [word for word in range(VOCABULARY) if word != END]


class Table:
    """A model whose next word depends on all before it, by chance: one for each source."""

    def __init__(self, seeds, width, sharpness=2.0):
        self.seeds, self.sharpness = seeds, sharpness
        self.before = [[()] * width for _ in seeds]
        self.steps = 0

    def next(self, source, before):
        seed = [self.seeds[source], len(before), *before]
        logits = np.random.default_rng(seed).standard_normal(VOCABULARY) * self.sharpness
        return logits - np.log(np.exp(logits).sum())

    def step(self, words):
        if self.steps:
            self.before = [
                [(*b, int(w)) for b, w in zip(row, last, strict=True)]
                for row, last in zip(self.before, words, strict=True)
            ]
        else:
            assert (words == END).all()
        self.steps += 1
        return np.array([[self.next(i, b) for b in row] for i, row in enumerate(self.before)])

    def keep(self, rows):
        self.before = [[row[r] for r in kept] for row, kept in zip(self.before, rows, strict=True)]

    def log_p(self, source, words):
        """Of a whole sentence."""
        line = [*words, END]
        return sum(self.next(source, tuple(line[:i]))[word] for i, word in enumerate(line))


def found(seeds, width, longest=LONGEST, **more):
    table = Table(seeds, width)
    return table, beam.search(table, len(seeds), width=width, longest=longest, end=END, **more)


def best_of_all(table, source, longest=LONGEST):
    """(score, words) of the best sentence there is."""
    every = (w for n in range(longest + 1) for w in itertools.product(WORDS, repeat=n))
    return max((table.log_p(source, words) / (len(words) + 1), list(words)) for words in every)


SEEDS = range(30)
WIDE = sum(len(WORDS) ** n for n in range(LONGEST + 1))  # sentences: nothing is ever dropped


def test_a_beam_that_drops_nothing_finds_the_best_sentence_of_all():
    table, written = found(SEEDS, WIDE)
    for source, one in enumerate(written):
        score, words = best_of_all(table, source)
        assert one.words == words
        assert one.score == pytest.approx(score)


@pytest.mark.parametrize("width", [1, 2, 5])
def test_a_score_is_the_model_s_and_never_above_the_best(width):
    table, written = found(SEEDS, width)
    for source, one in enumerate(written):
        assert one.log_p == pytest.approx(table.log_p(source, one.words))
        assert one.score == pytest.approx(one.log_p / (len(one.words) + 1))
        assert one.score <= best_of_all(table, source)[0] + 1e-9


def test_a_wider_beam_finds_better_sentences():
    means = [np.mean([w.score for w in found(SEEDS, width)[1]]) for width in (1, 3, WIDE)]
    assert means[0] < means[1] < means[2]


def test_a_width_of_one_takes_the_most_probable_word_each_time():
    table, written = found(SEEDS, 1)
    for source, one in enumerate(written):
        words = []
        while len(words) < LONGEST:
            word = int(table.next(source, tuple(words)).argmax())
            if word == END:
                break
            words.append(word)
        assert one.words == words


@pytest.mark.parametrize("width", [1, 3])
def test_sources_do_not_depend_on_each_other(width):
    together = found(SEEDS, width)[1]
    assert together == [found([seed], width)[1][0] for seed in SEEDS]


def test_a_sentence_is_never_longer_than_asked_for():
    for longest in (0, 1, 2):
        table, written = found(SEEDS, 2, longest)
        assert max(len(one.words) for one in written) == longest
        assert table.steps <= longest + 1
        for source, one in enumerate(written):  # what is cut off ends, at what that costs
            assert one.log_p == pytest.approx(table.log_p(source, one.words))


def test_a_model_that_would_never_end_ends():
    class Endless(Table):
        def next(self, source, before):
            return np.where(np.arange(VOCABULARY) == END, -1e9, -1.0)

    (one,) = beam.search(Endless([0], 2), 1, width=2, longest=7, end=END)
    assert len(one.words) == 7


def test_some_words_are_never_written():
    for one in found(SEEDS, 3, never=(0, 2))[1]:
        assert set(one.words) <= {3}


def test_more_beginnings_than_there_are_do_no_harm():
    table, written = found([5], 50, longest=1)
    assert written[0].words == best_of_all(table, 0, longest=1)[1]


def test_steps_end_when_nothing_better_can_come():
    class Certain(Table):
        def next(self, source, before):
            return np.log(np.where(np.arange(VOCABULARY) == END, 0.97, 0.01))

    table = Certain([0, 1], 4)
    written = beam.search(table, 2, width=4, longest=100, end=END)
    assert [one.words for one in written] == [[], []]
    assert table.steps < 5


def test_numbers_that_are_none_are_no_sentence():
    class Broken(Table):
        def next(self, source, before):
            return np.full(VOCABULARY, np.nan)

    (one,) = beam.search(Broken([0], 2), 1, width=2, longest=3, end=END)
    assert one.words == []
    assert one.log_p == -np.inf


@pytest.mark.parametrize(("width", "longest"), [(0, 3), (1, -1)])
def test_a_search_needs_a_width_and_a_length(width, longest):
    with pytest.raises(ValueError, match="beginnings"):
        beam.search(Table([0], 1), 1, width=width, longest=longest, end=END)
