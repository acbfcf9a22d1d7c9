"""Shapes from the command line: `M=256,N=512` as a case of an op, `M=256..8192*2` as a series.

The letters are the parameters of the op's `sized`; sizes that are not given have its defaults. An
op's own benchmark cases are chosen by a part of their label.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from .spec import Case, Op

MOST_POINTS = 64  # of a sweep
LARGEST = 1 << 40  # of one size: beyond it, shapes overflow before memory is asked for


class BadShape(ValueError):
    """What is wrong with a shape. name, known: what was mistyped, and what there is."""

    def __init__(self, what: str, why: str = "", *, name: str = "", known: Sequence[str] = ()):
        super().__init__(what)
        self.why, self.name, self.known = why, name, tuple(known)


@dataclass(frozen=True)
class Shape:
    """One case to benchmark. sizes: what a sweep varies, by letter."""

    case: Case
    sizes: dict[str, int] = field(default_factory=dict)


def defaults(op: Op) -> dict[str, int]:
    """The op's size letters with their default sizes; BadShape if it has none."""
    if op.sized is None:
        raise BadShape(
            f"{op.name} takes no sizes", f"its shapes are: {', '.join(labels(op)) or 'none'}"
        )
    return {k: p.default for k, p in inspect.signature(op.sized).parameters.items()}


def labels(op: Op) -> list[str]:
    """How the op's own benchmark cases are called."""
    return [case.label() for case in op.bench]


def shapes_of(op: Op, given: Sequence[str] = (), sweep: str = "") -> list[Shape]:
    """The cases that are asked for; without any, the op's own.

    given: sizes such as "M=256,N=512", or a part of a label. sweep: a series as `swept` reads it;
    it varies each case given by sizes. BadShape for what is no shape of the op.
    """
    bases = [_sizes(op, text) for text in given if "=" in text]
    named = [shape for text in given if "=" not in text for shape in _labelled(op, text)]
    if sweep:
        if named:
            raise BadShape("a sweep varies sizes", "give the others as sizes too: M=256,N=512")
        return [
            _made(op, {**base, **point}, point)
            for base in bases or [{}]
            for point in swept(op, sweep)
        ]
    if not given:
        return [Shape(case) for case in op.bench]
    return [_made(op, sizes, sizes) for sizes in bases] + named


def swept(op: Op, text: str) -> list[dict[str, int]]:
    """`M=256..8192*2` (times 2), `N=1..9+2` (plus 2), `K=3,5,7`; `M,N,K=…` varies three as one."""
    letters, equals, series = text.partition("=")
    names = [letter.strip() for letter in letters.split(",")]
    for name in names:
        _check_letter(op, name)
    if not equals or not series:
        raise BadShape(f"'{text}' is no sweep", SWEEP)
    points = _series(text, series)
    if len(points) > MOST_POINTS:
        raise BadShape(f"'{text}' has {len(points)} points", f"at most {MOST_POINTS} are allowed")
    return [dict.fromkeys(names, value) for value in points]


SWEEP = "it takes M=256..8192*2, M=64..512+64 or M=3,5,7; M,N,K=… varies them together"


def _series(text: str, series: str) -> list[int]:
    found = re.fullmatch(r"(\d+)\.\.(\d+)([*+])(\d+)", series)
    if found is None:
        return [_number(text, part) for part in series.split(",")]
    low, high, step = (_number(text, found[i]) for i in (1, 2, 4))
    if low > high or (found[3] == "*" and step < 2):
        raise BadShape(f"'{text}' has no end", SWEEP)
    if found[3] == "+":
        return list(range(low, high + 1, step))
    return [low * step**i for i in range(math.floor(math.log(high / low, step) + 1e-9) + 1)]


def _sizes(op: Op, text: str) -> dict[str, int]:
    sizes = {}
    for part in text.split(","):
        letter, equals, number = part.strip().partition("=")
        _check_letter(op, letter)
        if not equals:
            raise BadShape(f"'{part}' is no size", f"it takes {letter}=NUMBER")
        sizes[letter] = _number(text, number)
    return sizes


def _check_letter(op: Op, letter: str) -> None:
    known = defaults(op)
    if letter not in known:
        raise BadShape(f"{op.name} has no size '{letter}'", name=letter, known=list(known))


def _number(text: str, number: str) -> int:
    if not number.strip().isdecimal() or not 0 < int(number) <= LARGEST:
        raise BadShape(f"'{number}' in '{text}' is not allowed", "a size is a whole number above 0")
    return int(number)


def _labelled(op: Op, text: str) -> list[Shape]:
    found = [case for case in op.bench if text == case.name or text in case.label()]
    exact = [case for case in found if text in (case.name, case.label())]
    if not found:
        names = [case.name or case.label() for case in op.bench]
        raise BadShape(f"{op.name} has no shape '{text}'", name=text, known=names)
    return [Shape(case) for case in exact or found]


def _made(op: Op, sizes: dict[str, int], varied: dict[str, int]) -> Shape:
    assert op.sized is not None
    return Shape(op.sized(**sizes), dict(varied))
