"""The tokens of a sentence, which become the very same sentence again."""

from hypothesis import given
from hypothesis import strategies as st

from dlcli.data.pair_text import JOINED, SPACED, joined, key, lowered, raised, tokens

TEXT = st.text(st.sampled_from("aAéßI'’--.,!?«»_  \u202f\xa0\t0½²Ωдж\u0301中😀") | st.characters())

OURS = str.maketrans("", "", JOINED + SPACED)
WORD = TEXT.map(lambda text: "".join(text.translate(OURS).split())).filter(bool)
SPACE = st.sampled_from(" \u202f\xa0")


@given(st.lists(st.tuples(SPACE, WORD)))
def test_tokens_become_the_very_same_sentence(parts):
    text = "".join(space + word for space, word in parts)[1:]
    assert joined(tokens(text)) == text


def test_a_run_of_spaces_becomes_one_and_a_special_one_stays():
    assert joined(tokens(" a \t b \u202f !\n")) == "a b\u202f!"


@given(TEXT)
def test_tokens_are_a_fixed_point_and_never_empty(text):
    found = tokens(text)
    assert all(found)
    assert not any(token.isspace() for token in found)
    assert tokens(joined(found)) == found


def test_french_is_cut_at_its_apostrophes_and_hyphens():
    assert tokens("Va-t-il à l'hôtel ?") == ["Va", "-t", "-il", "à", "l'", "hôtel", "?"]
    assert tokens("Où\u202f? Là, à 8 h.") == [
        "Où",
        "\u202f?",
        "Là",
        f"{JOINED},",
        "à",
        "8",
        "h",
        f"{JOINED}.",
    ]
    assert tokens("d' accord - non") == ["d", f"{JOINED}'", "accord", "-", "non"]
    assert tokens("") == tokens(" \u202f ") == []


def test_our_own_marks_in_a_text_are_dropped():
    assert tokens(f"a{JOINED}b {SPACED}c") == ["ab", "c"]


def test_a_word_without_end_is_cut_into_pieces_that_are_bounded():
    found = tokens("x" * 200 + "1" * 100)
    assert max(map(len, found)) <= 61
    assert joined(found) == "x" * 200 + "1" * 100


def test_the_first_letter_is_small_unless_the_word_has_more_large_ones():
    assert lowered(["Il", "est", "Tom"]) == ["il", "est", "Tom"]
    assert lowered(["TV"]) == ["TV"]
    assert lowered(["J'", "ai"]) == ["j'", "ai"]
    assert lowered([]) == []
    assert raised("état") == "État"


@given(TEXT)
def test_a_first_letter_that_was_made_small_can_be_made_large_again(text):
    found = tokens(text)
    small = lowered(found)
    if small != found:
        assert raised(joined(small)) == joined(found)


def test_what_is_read_is_looked_up_without_capitals_and_marks():
    assert [key(t) for t in tokens("Am I OK?")] == ["am", "i", "ok", "?"]
