"""Sentences and their translations as a dataset: parts that share none, numbers, tables."""

import json

import numpy as np
import pytest

from dlcli.data import catalog
from dlcli.data.loader import Loader
from dlcli.data.pair_encoder import END, END_ID, NOTHING, PairEncoder
from dlcli.data.pair_kind import KIND
from dlcli.data.pair_split import Pair, PairSplit, cut
from dlcli.data.pair_text import JOINED, joined, tokens
from dlcli.data.vocabulary import PADDING, UNKNOWN, Vocabulary
from dlcli.errors import CheckpointError, DataError, UsageError

# --- parts ----------------------------------------------------------------------------------------


def test_no_sentence_is_in_two_parts_whatever_its_punctuation():
    sources = [
        f"{word}{mark}" for word in "abcdefghijklmnopqrstuvwxyz" for mark in (".", "!", "?!")
    ]
    sources += [s.upper() for s in sources]
    parts = cut(sources, seed=0)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(len(sources)))
    words = {name: {sources[i][0].lower() for i in rows} for name, rows in parts.items()}
    assert len(words["test"]) == len(words["val"]) == 2
    assert len(words["train"]) == 22
    assert not words["test"] & words["val"]
    assert not words["train"] & (words["test"] | words["val"])


def test_parts_are_a_function_of_the_seed_and_of_no_order():
    sources = [f"sentence {i}" for i in range(100)]

    def tested(given, seed):
        return {given[i] for i in cut(given, seed)["test"]}

    assert tested(sources, 1) == tested(sources[::-1], 1)
    assert tested(sources, 1) != tested(sources, 2)
    more = [*sources, *(f"another {i}" for i in range(9))]
    assert len(tested(sources, 1) & tested(more, 1)) >= 7  # few sentences move


def test_three_sentences_are_the_least():
    assert {name: len(rows) for name, rows in cut(["a", "b", "c"], 0).items()} == {
        "test": 1,
        "val": 1,
        "train": 1,
    }
    with pytest.raises(DataError, match="2 sentences cannot be cut"):
        cut(["a", "b", "b!"], 0)
    assert sum(len(rows) for rows in cut(["!", "?", "…"], 0).values()) == 3


def test_all_translations_of_a_source_are_its_references():
    pairs = [("Run!", "Cours !"), ("Go.", "Va !"), ("run!", "Courez !"), ("Run!", "Cours !")]
    split = PairSplit("test", pairs, list("abcd"))
    assert split.references() == {"Run!": ["Cours !", "Courez !"], "Go.": ["Va !"]}


# --- numbers --------------------------------------------------------------------------------------

PAIRS = [
    Pair(tokens(s), tokens(t))
    for s, t in (
        ("Tom ran.", "Tom a couru."),
        ("I ran.", "J'ai couru."),
        ("Tom sat!", "Tom est assis !"),
    )
]


@pytest.fixture
def encoder():
    source = Vocabulary(["tom", "ran", "."], 4)
    target = Vocabulary([END, "tom", "a", "couru", f"{JOINED}.", "j'", "ai"], 5)
    return PairEncoder(source, target, capital=True)


def test_a_target_is_given_after_the_end_and_wanted_before_it(encoder):
    sources, lengths, given, wanted = encoder(PAIRS)
    assert sources.tolist() == [[2, 3, 4, 0], [1, 3, 4, 0], [2, 1, 1, 0]]
    assert lengths.tolist() == [3, 3, 3]
    assert given.tolist() == [[END_ID, 3, 4, 5, 6], [END_ID, 7, 8, 5, 6], [END_ID, 3, 1, 1, 1]]
    assert wanted.tolist() == [[3, 4, 5, 6, END_ID], [7, 8, 5, 6, END_ID], [3, 1, 1, 1, END_ID]]
    assert [a.dtype for a in (sources, lengths, given, wanted)] == [
        np.int64,
        np.int32,
        np.int64,
        np.int64,
    ]


def test_padding_is_given_and_nothing_wanted_past_an_end(encoder):
    _, _, given, wanted = encoder([PAIRS[0], Pair(["tom"], ["tom"])])
    assert given[1].tolist() == [END_ID, 3, PADDING, PADDING, PADDING]
    assert wanted[1].tolist() == [3, END_ID, NOTHING, NOTHING, NOTHING]


def test_what_is_too_long_is_cut_and_its_end_is_not_wanted(encoder):
    sources, lengths, given, wanted = encoder([Pair(["tom"] * 9, ["a"] * 9)])
    assert sources.tolist() == [[2] * 4]
    assert lengths.tolist() == [4]
    assert given.tolist() == [[END_ID, 4, 4, 4, 4]]
    assert wanted.tolist() == [[4] * 5]


def test_a_source_without_words_is_one_unknown_word(encoder):
    sources, lengths = encoder.sources([[], ["xyzzy"]])
    assert sources[:, 0].tolist() == [UNKNOWN, UNKNOWN]
    assert lengths.tolist() == [1, 1]


def test_what_is_not_known_or_not_read_is_remarked(encoder):
    assert encoder.remark(["Tom", "ran"]) == {}
    assert encoder.remark(["Tom", "xyzzy", f"{JOINED}!"]) == {"unknown": ["xyzzy", "!"]}
    note = "the first 4 of its 1,000 words are read"
    assert encoder.remark(["tom"] * 1_000) == {"note": note}


def test_ids_become_a_sentence_with_its_capital(encoder):
    _, _, _, wanted = encoder(PAIRS[1:2])
    assert encoder.text(wanted[0, :-1]) == "J'ai couru."
    assert encoder.text([]) == ""


def test_capitals_stay_as_they_are_where_most_sentences_begin_small():
    most = (9, 99, 9, 99)
    small = [Pair(["a"], ["b", "Tom"]), Pair(["a"], ["Tom", "b"])] * 3
    fitted = PairEncoder.fit(small, most)
    assert not fitted.capital
    assert fitted.text(fitted(small[:1])[3][0, :2]) == "b Tom"
    assert PairEncoder.fit([Pair(["a"], ["Il", "a"])] * 2, most).capital


def test_vocabularies_are_those_of_the_pairs_they_are_fitted_on():
    fitted = PairEncoder.fit(PAIRS, (9, 99, 9, 99))
    assert fitted.source.words == [".", "ran", "tom"]
    assert fitted.target.words[:4] == [END, "couru", "tom", f"{JOINED}."]
    assert sorted(fitted.target.words[4:]) == ["!", "a", "ai", "assis", "est", "j'"]
    assert PairEncoder.fit(PAIRS, (9, 4, 9, 4)).shape == (9, 4, 9, 4)


def test_an_encoder_comes_back_from_plain_values(encoder):
    again = PairEncoder.from_json(json.loads(json.dumps(encoder.to_json())))
    assert again.to_json() == encoder.to_json()
    for one, other in zip(again(PAIRS), encoder(PAIRS), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda v: v.pop("source"),
        lambda v: v.update(capital=1),
        lambda v: v["target"]["words"].pop(0),
        lambda v: v["source"].update(words="abc"),
        lambda v: v["target"].update(max_length=0),
    ],
)
def test_stored_vocabularies_that_are_damaged_are_refused(encoder, spoil):
    stored = json.loads(json.dumps(encoder.to_json()))
    spoil(stored)
    with pytest.raises(CheckpointError, match="vocabular"):
        PairEncoder.from_json(stored)
    with pytest.raises(CheckpointError, match="not the model's"):
        KIND.from_json(encoder.to_json(), (9, 9, 9, 9))


# --- tables ---------------------------------------------------------------------------------------


def table(path, text):
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def words(tmp_path):
    lines = [f"the word {a} {b}\tle mot {b} {a}\tsomeone" for a in "abcdefgh" for b in "abcdefgh"]
    return table(tmp_path / "words.tsv", "\n".join(lines))


def test_a_table_of_pairs_is_a_dataset(words):
    found = catalog.load(str(words), kind=KIND)
    assert {name: len(part) for name, part in found.splits.items()} == {
        "train": 52,
        "val": 6,
        "test": 6,
    }
    assert found.kind is KIND
    assert found.classes == []
    assert found.splits["train"].id(0).startswith(f"{words}:")
    encode = found.kind.fit(found)
    assert encode.shape == found.shape
    seen = np.zeros(52, int)
    for batch in Loader(found.splits["train"], encode, 8, shuffle=True).epoch(0):
        sources, lengths, given, wanted = batch.inputs
        assert len(sources) == len(lengths) == len(given) == len(wanted) == len(batch.y)
        seen[batch.indices] += 1
    assert (seen == 1).all()


def test_the_fingerprint_is_of_the_sentences_and_not_of_the_place(words, tmp_path):
    def prints(path, **options):
        return catalog.load(str(path), kind=KIND, **options).fingerprint

    moved = table(tmp_path / "moved.txt", words.read_text())
    assert prints(moved) == prints(words)
    assert prints(words, vocabulary=8) != prints(words)
    changed = table(tmp_path / "changed.tsv", words.read_text().replace("mot a b", "mot b b"))
    assert prints(changed) != prints(words)


def test_options_bound_both_sides(words):
    shape = catalog.load(str(words), kind=KIND, max_length=3, vocabulary=7).shape
    assert shape == (3, 7, 3, 7)
    assert KIND.describe(shape) == "up to 3 words, a vocabulary of 7"
    assert "into up to" in KIND.describe((3, 7, 4, 7))
    for option in ({"max_length": 0}, {"max_length": 10_000}, {"vocabulary": 3}):
        with pytest.raises(UsageError, match="is not possible"):
            catalog.load(str(words), kind=KIND, **option)
    with pytest.raises(UsageError, match="does not apply"):
        catalog.load(str(words), kind=KIND, image_size=8)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\tb\nno tab\n", ":2: has no tab"),
        ("a\tb\n\tb\n", ":2: the sentence is empty"),
        ("a\tb\n\na \t \tc", ":3: the translation is empty"),
        ("a\tb\nc\td\n", "2 sentences cannot be cut"),
        ("\n\n", "0 sentences"),
    ],
)
def test_a_table_that_is_none_says_where(tmp_path, text, said):
    path = table(tmp_path / "pairs.tsv", text)
    with pytest.raises(DataError, match=r"pairs\.tsv") as caught:
        catalog.load(str(path), kind=KIND)
    assert said in str(caught.value)


def test_a_folder_is_no_table_and_bytes_are_no_text(tmp_path):
    with pytest.raises(DataError, match="is a folder"):
        catalog.load(str(tmp_path), kind=KIND)
    path = tmp_path / "pairs.tsv"
    path.write_bytes(b"a\tb\nc\t\xff\n")
    with pytest.raises(DataError, match="2: is not UTF-8"):
        catalog.load(str(path), kind=KIND)


def test_a_sentence_to_translate_is_a_line_or_the_first_column_of_a_tsv(tmp_path):
    lines = table(tmp_path / "lines.txt", "Run\taway!\n\nGo.\n")
    column = table(tmp_path / "column.tsv", "Run!\tCours !\nGo.\n")
    (batch,) = KIND.inputs([str(lines), str(column), str(tmp_path)], (9, 9, 9, 9))
    assert [item.about.get("text") for item in batch] == [
        "Run\taway!",
        "",
        "Go.",
        "Run!",
        "Go.",
        None,
    ]
    assert batch[3].sample == Pair(["Run", f"{JOINED}!"])
    assert "is a folder" in batch[5].error


@pytest.mark.real_data
def test_the_published_sentences_are_cut_by_their_english_side(real_data):
    if catalog.describe("tatoeba-eng-fra", data_dir=real_data).folder is None:
        pytest.skip("DLCLI_DATA has no tatoeba-eng-fra")
    found = catalog.load("tatoeba-eng-fra", data_dir=real_data)
    pairs = {name: part.pairs for name, part in found.splits.items()}
    assert sum(map(len, pairs.values())) == 5_000
    english = {name: {source for source, _ in own} for name, own in pairs.items()}
    assert sum(map(len, english.values())) == 2_597
    assert len(set().union(*english.values())) == 2_597
    for source, target in pairs["test"] + pairs["val"]:
        assert joined(tokens(source)) == source
        assert joined(tokens(target)) == target
