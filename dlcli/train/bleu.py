"""BLEU (Papineni et al. 2002) as sacrebleu defines it (Post 2018): a corpus's translations against
any number of references each, words as mteval-v13a cuts them, capitals as they are.

    BLEU = 100 · BP · (p₁ p₂ p₃ p₄)^¼;   BP = min(1, exp(1 − r / c))

pₙ is the share of the n-grams of all translations that a reference has as often, c the number of
the translations' words, r that of the references that come closest in length. A pₙ without any
match counts as 1 / (2ᵏ · n-grams), k numbering such n (smoothing "exp"); without n-grams, or
matches at all, BLEU is 0. So figures compare with those of others: what sacrebleu signs as
nrefs:var|case:mixed|eff:no|tok:13a|smooth:exp.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

ORDER = 4
_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
_RULES = (
    (re.compile(r"([\{-\~\[-\` -\&\(-\+\:-\@\/])"), r" \1 "),  # punctuation but ' , - .
    (re.compile(r"([^0-9])([\.,])"), r"\1 \2 "),  # a full stop or comma that follows no digit,
    (re.compile(r"([\.,])([^0-9])"), r" \1 \2"),  # or that none follows
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),  # a dash after a digit
)


def words(line: str) -> list[str]:
    """The words of a line, as mteval-v13a of NIST cuts them."""
    line = line.rstrip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    if "&" in line:
        for entity, character in _ENTITIES:
            line = line.replace(entity, character)
    line = f" {line} "
    for pattern, replacement in _RULES:
        line = pattern.sub(replacement, line)
    return line.split()


def corpus(translations: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """BLEU, 0 … 100, of translations, each with its references.

    ValueError: there are not as many of both, or one has no reference.
    """
    if len(translations) != len(references) or not all(references):
        raise ValueError("each translation needs at least one reference")
    matches, totals = [0] * ORDER, [0] * ORDER
    length = nearest = 0
    for line, others in zip(translations, references, strict=True):
        own, known = words(line), [words(other) for other in others]
        length += len(own)
        nearest += min((abs(len(k) - len(own)), len(k)) for k in known)[1]
        for n in range(ORDER):
            grams = _grams(own, n + 1)
            most: Counter[tuple[str, ...]] = Counter()
            for k in known:
                most |= _grams(k, n + 1)
            matches[n] += sum((grams & most).values())
            totals[n] += sum(grams.values())
    return _score(matches, totals, length, nearest)


def _grams(found: list[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(found[i:] for i in range(n)), strict=False))


def _score(matches: list[int], totals: list[int], length: int, nearest: int) -> float:
    if not any(matches) or not all(totals):
        return 0.0
    logarithm, smooth = 0.0, 1
    for match, total in zip(matches, totals, strict=True):
        if not match:
            smooth *= 2
        logarithm += math.log(match / total if match else 1 / (smooth * total))
    brevity = min(0.0, 1 - nearest / length)
    return 100 * math.exp(brevity + logarithm / ORDER)
