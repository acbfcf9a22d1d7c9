"""BLEU: by hand, by what it must and must not depend on, and as sacrebleu computes it."""

import math
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dlcli.train import bleu

WORD = st.sampled_from(["the", "cat", "mat", "sat", "on", "a", ".", ",", "l'homme", "va-t-il", "5"])
LINE = st.lists(WORD, min_size=4, max_size=9).map(" ".join)
ROUGH = st.text(st.sampled_from("aàB cd 1.5,-!?'’\u202f\xa0&;\"<>()\t/\\_é"), max_size=30)
REFERENCES = st.lists(LINE, min_size=1, max_size=3)


def score(*precisions, brevity=1.0):
    """The geometric mean of four precisions, in per cent."""
    return 100 * brevity * math.prod(map(float, precisions)) ** 0.25


def test_words_are_matched_at_most_as_often_as_a_reference_has_them():
    """The example of Papineni et al.: seven times "the", of which a reference has two."""
    references = ["the cat is on the mat", "there is a cat on the mat"]
    found = bleu.corpus([" ".join(["the"] * 7)], [references])
    # no 2-, 3- or 4-grams match: they count as 1/2 of 6, 1/4 of 5 and 1/8 of 4
    assert found == pytest.approx(
        score(Fraction(2, 7), Fraction(1, 12), Fraction(1, 20), Fraction(1, 32))
    )


def test_counts_are_summed_over_the_corpus_before_they_are_divided():
    found = bleu.corpus(["a b c d e", "x b c d"], [["a b c d f"], ["y b c d"]])
    want = score(Fraction(4 + 3, 9), Fraction(3 + 2, 7), Fraction(2 + 1, 5), Fraction(1 + 0, 3))
    assert found == pytest.approx(want)


def test_what_is_too_short_is_punished_by_the_nearest_reference():
    long, short = "a b c d e f g h", "a b c d e f x"
    assert bleu.corpus(["a b c d e"], [[long]]) == pytest.approx(100 * math.exp(1 - 8 / 5))
    assert bleu.corpus(["a b c d e"], [[long, short]]) == pytest.approx(100 * math.exp(1 - 7 / 5))
    assert bleu.corpus(["a b c d e"], [["a b c d e f", "a b c d"]]) == pytest.approx(100)  # as near


def test_what_is_too_long_loses_by_its_precision_alone():
    want = score(Fraction(4, 5), Fraction(3, 4), Fraction(2, 3), Fraction(1, 2))
    assert bleu.corpus(["a b c d e"], [["a b c d"]]) == pytest.approx(want)


def test_there_is_nothing_without_matches_or_without_four_words():
    assert bleu.corpus(["a b c d"], [["e f g h"]]) == 0
    assert bleu.corpus(["a b c"], [["a b c"]]) == 0
    assert bleu.corpus([""], [["a b c d"]]) == 0
    assert bleu.corpus([], []) == 0
    assert bleu.corpus(["", "a b c d"], [["x"], ["a b c d"]]) == pytest.approx(
        100 * math.exp(1 - 5 / 4)
    )


def test_each_translation_needs_references():
    for references in ([], [[]], [["a"], ["b"]]):
        with pytest.raises(ValueError, match="reference"):
            bleu.corpus(["a"], references)


def test_punctuation_is_cut_off_as_mteval_does():
    assert bleu.words("Va !") == bleu.words("Va\u202f!") == ["Va", "!"]
    assert bleu.words("Non, 1,000.5 fois.") == ["Non", ",", "1,000.5", "fois", "."]
    assert bleu.words("l'homme va-t-il (2-3) &amp; &quot;x&quot;") == (
        ["l'homme", "va-t-il", "(", "2", "-", "3", ")", "&", '"', "x", '"']
    )


@given(st.lists(LINE, min_size=1, max_size=5))
def test_the_references_themselves_score_100(lines):
    assert bleu.corpus(lines, [[line] for line in lines]) == pytest.approx(100)
    assert bleu.corpus(lines, [["something else", line] for line in lines]) == pytest.approx(100)


@given(st.lists(st.tuples(LINE, REFERENCES), min_size=1, max_size=5), st.randoms())
def test_neither_the_order_of_sentences_nor_that_of_references_matters(pairs, random):
    lines, references = zip(*pairs, strict=True)
    found = bleu.corpus(lines, references)
    assert -1e-9 <= found <= 100 + 1e-9
    assert bleu.corpus(lines, [r[::-1] * 2 for r in references]) == pytest.approx(found)
    shuffled = random.sample(pairs, len(pairs))
    assert bleu.corpus(*zip(*shuffled, strict=True)) == pytest.approx(found)


@given(st.lists(WORD, min_size=5, max_size=9, unique=True), st.integers(1, 4))
def test_the_order_of_words_and_their_number_matter(words, less):
    line = " ".join(words)
    swapped = " ".join([words[1], words[0], *words[2:]])
    assert bleu.corpus([swapped], [[line]]) < 100
    assume(len(bleu.words(" ".join(words[:-less]))) >= bleu.ORDER)
    assert bleu.corpus([" ".join(words[:-less])], [[line]]) < 100


@given(
    st.lists(st.tuples(LINE | ROUGH, st.lists(LINE | ROUGH, min_size=1, max_size=3)), min_size=1)
)
def test_it_is_the_bleu_of_sacrebleu(pairs):
    sacrebleu = pytest.importorskip("sacrebleu")
    lines, references = zip(*pairs, strict=True)
    most = max(map(len, references))
    streams = [[r[i] if i < len(r) else None for r in references] for i in range(most)]
    want = sacrebleu.metrics.BLEU().corpus_score(list(lines), streams).score
    assert bleu.corpus(lines, references) == pytest.approx(want, abs=1e-9)
