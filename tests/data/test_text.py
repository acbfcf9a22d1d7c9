"""Texts: how they become words, ids and lengths, and what a vocabulary keeps."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcli.data.text import MOST_CHARACTERS, TextSplit, words
from dlcli.data.vocabulary import BUCKETS, PADDING, UNKNOWN, Vocabulary, bucket
from dlcli.errors import CheckpointError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A fine film.", ["a", "fine", "film", "."]),
        ("It isn't bad, it's good!", ["it", "is", "n't", "bad", ",", "it", "'s", "good", "!"]),
        ("won’t they've I'm", ["wo", "n't", "they", "'ve", "i", "'m"]),
        ("dull<br /><br />and <i>long</i>", ["dull", "and", "long"]),
        ("Fish &amp; chips, 3 < 5", ["fish", "&", "chips", ",", "3", "<", "5"]),
        ("naïve Ærø 東京", ["naïve", "ærø", "東京"]),
        ("", []),
        (" \t\n\0", ["\0"]),
    ],
)
def test_a_text_becomes_lower_case_words_with_punctuation_apart(text, expected):
    assert words(text) == expected


def test_text_that_was_split_before_gives_the_same_words_as_plain_text():
    assert words("they wo n't say it 's good , do n't") == words("they won't say it's good, don't")


def test_an_endless_word_and_an_endless_text_are_bounded():
    assert words("a" * 10_000_000) == ["a" * 64]
    assert len(words("b " * MOST_CHARACTERS)) == MOST_CHARACTERS // 2
    assert words("<" * 100_000) == ["<"] * 100_000


@given(st.text(max_size=200))
def test_any_text_becomes_words_without_spaces(text):
    assert all(word and not any(c.isspace() for c in word) for word in words(text))


def split(*texts) -> TextSplit:
    return TextSplit("train", list(texts), np.zeros(len(texts), np.int64))


def test_a_split_gives_words_lengths_and_names():
    part = split("one two", "", "three")
    assert part.samples(np.array([2, 0])) == [["three"], ["one", "two"]]
    assert part.lengths.tolist() == [2, 0, 1]
    assert part.id(1) == "train/1"


def test_the_digest_sees_a_letter_a_label_and_where_a_text_ends():
    ab, moved = split("ab", "c"), split("a", "bc")
    labels = TextSplit("train", ["ab", "c"], np.array([0, 1]))
    assert len({part.digest() for part in (ab, split("ab", "d"), moved, labels)}) == 4
    assert ab.digest() == split("ab", "c").digest()


def test_a_vocabulary_has_the_most_frequent_words_that_occur_twice():
    texts = [["b", "a", "c"], ["a", "b", "b"], ["once"]]
    assert Vocabulary.fit(texts, 100, 5).words == ["b", "a"]
    assert Vocabulary.fit(texts, 3, 5).words == ["b"]
    assert Vocabulary.fit([["z", "y"], ["y", "z"]], 100, 5).words == ["y", "z"]


def test_ids_are_padded_to_a_bucket_and_lengths_say_how_far_they_count():
    encode = Vocabulary(["good", "bad"], max_length=20)
    ids, lengths = encode([["good", "bad", "xyzzy"], [], ["bad"] * 9])
    assert (ids.shape, ids.dtype, lengths.dtype) == ((3, 16), np.int64, np.int32)
    assert lengths.tolist() == [3, 1, 9]
    assert ids[0].tolist() == [2, 3, UNKNOWN] + [PADDING] * 13
    assert ids[1].tolist() == [UNKNOWN] + [PADDING] * 15


def test_of_a_text_that_is_too_long_the_end_is_kept():
    encode = Vocabulary(["a", "b"], max_length=3)
    ids, lengths = encode([["b", "a", "a", "a", "b"]])
    assert ids.tolist() == [[2, 2, 3]]
    assert lengths.tolist() == [3]


@pytest.mark.parametrize("listed", [[], ["only"]])
def test_a_vocabulary_of_one_word_or_none_encodes_any_text(listed):
    ids, lengths = Vocabulary(listed, 8)([["only", "unknown"], ["words"]])
    assert ids.max() < len(listed) + 2
    assert lengths.tolist() == [2, 1]


def test_a_text_without_a_known_word_is_remarked_upon_and_no_other():
    vocabulary = Vocabulary(["only"], 2)
    assert vocabulary.remark(["only", "x"]) == vocabulary.remark([]) == {}
    assert vocabulary.remark(["x"]) == {"note": "none of its words is in the vocabulary"}


def test_how_much_of_a_long_text_is_read_is_remarked_upon():
    vocabulary = Vocabulary(["only"], 2)
    long = "the last 2 of its 10,000 words are read"
    assert vocabulary.remark(["only"] * 10_000) == {"note": long}
    unknown = vocabulary.remark(["only"] * 9_998 + ["x", "y"])["note"]
    assert unknown == f"{long}; none of its words is in the vocabulary"


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_lengths_fall_into_few_buckets(length, most):
    found = bucket(min(length, most), most)
    assert min(length, most) <= found <= most
    assert found in {*BUCKETS, most}


def test_a_vocabulary_comes_back_from_json_as_it_was():
    encode = Vocabulary(["a", "é", "東京"], 7)
    assert Vocabulary.from_json(json.loads(json.dumps(encode.to_json()))) == encode


@pytest.mark.parametrize(
    "stored",
    [
        None,
        {},
        {"words": "abc", "max_length": 5},
        {"words": ["a", "a"], "max_length": 5},
        {"words": ["a", 1], "max_length": 5},
        {"words": [""], "max_length": 5},
        {"words": ["a" * 65], "max_length": 5},
        {"words": ["a"], "max_length": 0},
        {"words": ["a"], "max_length": True},
        {"words": ["a"], "max_length": 2.5},
        {"words": ["a"]},
        {"words": [""] * 1_000_001, "max_length": 5},
    ],
)
def test_a_damaged_vocabulary_is_a_checkpoint_error(stored):
    with pytest.raises(CheckpointError, match="vocabulary is damaged"):
        Vocabulary.from_json(stored)
