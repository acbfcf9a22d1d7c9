"""Sentences as tokens that become the very same sentence again: what a model of translation writes.

A token is a word, a number or a mark. What stands between two tokens is one space unless the second
says something else: JOINED at its front means nothing between, a space of another kind (French has
a narrow one, U+202F, before ! and ?) stands at its front itself. Elided words keep their apostrophe
(l'homme → l' homme) and hyphenated parts their hyphen (va-t-il → va -t -il); nothing between them
and their neighbour is then the rule, and a space is what has to be said.

A sentence's first letter is a matter of its place: `lowered` tokens begin with a small one.
"""

from __future__ import annotations

import re
import sys

JOINED = "￭"  # as OpenNMT's tokeniser marks it
SPACED = "▁"  # a plain space where the rule is none
MOST_LETTERS = 60  # of a token besides its marks: what is longer is no word, and two tokens
MOST_CHARACTERS = 1 << 16  # of a sentence: what is beyond is not looked at
_LETTERS = rf"[^\W\d_]{{1,{MOST_LETTERS}}}"
_TOKEN = re.compile(
    rf"{_LETTERS}['’](?=\w)"  # l' of l'homme
    rf"|(?<=\w)-{_LETTERS}"  # -t of va-t-il
    rf"|{_LETTERS}|\d{{1,{MOST_LETTERS}}}|[^\w\s]|_"
)
_MARK = {"": JOINED, " ": SPACED}  # of what stands before a token; another space is its own mark
_BETWEEN = {mark: between for between, mark in _MARK.items()}
_OURS = str.maketrans("", "", JOINED + SPACED)


def tokens(text: str) -> list[str]:
    """The tokens of a sentence, in order; [] if it has none. Marks of ours that it has are dropped.

    `joined(tokens(text))` is the text with one space for each run of spaces, none at its ends.
    """
    text = text[:MOST_CHARACTERS].translate(_OURS)
    found: list[str] = []
    end, before = 0, ""
    for match in _TOKEN.finditer(text):
        between = _space(text[end : match.start()])
        usual = "" if _clings(before, match[0]) else " "
        mark = _MARK.get(between, between) if found and between != usual else ""
        found.append(sys.intern(mark + match[0]))
        end, before = match.end(), match[0]
    return found


def joined(found: list[str]) -> str:
    """The sentence of tokens."""
    text, before = "", ""
    for token in found:
        mark, word = parted(token)
        between = ("" if _clings(before, word) else " ") if not mark else _BETWEEN.get(mark, mark)
        text += (between if text else "") + word
        before = word
    return text


def parted(token: str) -> tuple[str, str]:
    """Its mark, "" if it has none, and the word."""
    marked = len(token) > 1 and (token[0] in _BETWEEN or token[0].isspace())
    return (token[0], token[1:]) if marked else ("", token)


def key(token: str) -> str:
    """How the token of a sentence that is only read is looked up: its word in small letters."""
    return parted(token)[1].lower()


def _clings(before: str, token: str) -> bool:
    """Whether nothing between two tokens is the rule."""
    elided = len(before) > 1 and before[-1] in "'’"
    return elided or (len(token) > 1 and token[0] == "-" and before[-1:].isalnum())


def _space(run: str) -> str:
    """What a run of spaces comes to: nothing, a space, or its first one of another kind."""
    special = [c for c in run if c not in " \t\r\n\v\f"]
    return special[0] if special else " " if run else ""


def lowered(found: list[str]) -> list[str]:
    """With a small letter at the beginning, unless more of the word is large (TV)."""
    if not found:
        return found
    first, rest = found[0][:1], found[0][1:]
    if rest != rest.lower() or raised(first.lower()) != first:
        return found
    return [sys.intern(first.lower() + rest), *found[1:]]


def raised(text: str) -> str:
    """With a capital letter at the beginning."""
    return text[:1].upper() + text[1:]
