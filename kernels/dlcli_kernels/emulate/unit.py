"""A kernel's file as g++ can take it, line by line where it was, and the kernels that it defines.

Three things g++ reads otherwise: `#pragma unroll`, `extern __shared__` arrays and the list of the
kernels, which the emulator finds by name. Comments and strings are no code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

UNROLL = re.compile(
    r"^[ \t]*#[ \t]*pragma[ \t]+unroll\b(?:[ \t]*\(?[ \t]*(\d+)[ \t]*\)?(?![ \t]*\S))?.*", re.M
)
IN_MACRO = re.compile(r'_Pragma\(\s*"unroll[^"]*"\s*\)')
NO_CODE = re.compile(
    r'//[^\n]*|/\*.*?\*/|(?!"C")"(?:\\.|[^"\\\n])*"|^[ \t]*#(?:[^\\\n]|\\.|\\\n)*', re.S | re.M
)
DYNAMIC = re.compile(r"\bextern\s+([^;{}()\[\]]*(?:\([^()]*\)[^;{}()\[\]]*)?)\b(\w+)\s*\[\s*\]\s*;")
NOT_OF_TYPE = re.compile(r"__shared__|__align__\s*\([^()]*\)|alignas\s*\([^()]*\)")
VARIABLE = re.compile(
    r"(?:^|[;}])([^;{}()=]*\b(?:__device__|__managed__)\s[^;{}()=]*?)\b(\w+)\s*(?:\[[^\]]*\]\s*)*[=;]"
)
WORD = re.compile(r"\s*(\w+)\s*")
OPENING = re.compile(r'(?:\bnamespace(?:\s+([\w:]+))?|\bextern\s*("C"))\s*$')
LINKED = "C"  # what an `extern "C"` brace is called among the names of namespaces


@dataclass(frozen=True)
class Found:
    """A kernel of a file. most_threads: the expression of its launch bounds; restricted: by
    parameter, "1" where it is a __restrict__ pointer.
    """

    name: str
    qualified: str
    most_threads: str
    restricted: str


def code(text: str) -> str:
    """The text with comments, strings and the preprocessor's lines blank; places stay."""
    return NO_CODE.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)


def preprocess(text: str) -> str:
    """The source as g++ can take it."""
    plain = code(text)
    parts, at = [], 0
    for match in DYNAMIC.finditer(plain):
        if "__shared__" not in match[1]:
            continue
        kind = " ".join(NOT_OF_TYPE.sub("", match[1]).split())
        value = f"static_cast<{kind}*>(dlcli_dynamic_shared())"
        if all(scope is not None for scope in _scopes(plain, match.start())):
            # outside of functions, where it has no value yet
            line = text.count("\n", 0, match.end()) + 1
            made = f"\n#define {match[2]} ({value})\n#line {line}\n"
        else:
            made = f"{kind}* const {match[2]} = {value};"
            made += "\n" * match[0].count("\n")
        parts += [text[at : match.start()], made]
        at = match.end()
    text = IN_MACRO.sub('_Pragma("GCC unroll 64")', "".join([*parts, text[at:]]))
    return UNROLL.sub(lambda m: f"#pragma GCC unroll {min(int(m[1] or 64), 64)}", text)


def variable_on_device(text: str) -> tuple[int, str] | None:
    """Line and name of a variable in global memory that the file defines: there is none here."""
    plain = code(text)
    for match in VARIABLE.finditer(plain):
        if not re.search(r"\b(?:const|constexpr|__constant__|__shared__)\b", match[0]):
            return plain.count("\n", 0, match.start(2)) + 1, match[2]
    return None


def kernels(text: str) -> list[Found]:
    """The kernels of C linkage that the text defines, templates not among them."""
    plain = code(text)
    return [found for m in re.finditer(r"\b__global__\b", plain) for found in _kernel(plain, m)]


def entries(text: str, name: str) -> str:
    """The C++ list of a file's kernels. `name`, too, where a macro makes it."""
    found = kernels(text)
    written_out = re.search(rf"__global__[^;{{}}]*\b{name}\s*\(", code(text))
    if not written_out and re.search(r"#\s*define(?:.*\\\n)*.*__global__", text):
        found.append(Found(name, name, "0", ""))
    return ", ".join(
        [
            f'DLCLI_ENTRY("{k.name}", {k.qualified}, {k.most_threads}, "{k.restricted}")'
            for k in found
        ]
        + ["{}"]
    )


def _scopes(plain: str, end: int) -> list[str | None]:
    """The braces that are open at `end`: names of namespaces, LINKED; None is any other."""
    scopes: list[str | None] = []
    for match in re.finditer(r"[{}]", plain[:end]):
        if match[0] == "}":
            del scopes[-1:]
        else:
            opened = OPENING.search(plain, max(0, match.start() - 200), match.start())
            scopes.append(opened and (LINKED if opened[2] else opened[1] or ""))
    return scopes


def _kernel(plain: str, found: re.Match[str]) -> Iterator[Found]:
    scopes = _scopes(plain, found.start())
    begin = max(plain.rfind(mark, 0, found.start()) for mark in ";{}") + 1
    head = plain[begin : found.start()]
    linked = LINKED in scopes or re.search(r'extern\s*"C"', head)
    if not linked or re.search(r"\btemplate\b", head) or None in scopes:
        return
    at, bounds = found.end(), "0"
    while word := WORD.match(plain, at):
        at = word.end()
        if plain[at : at + 1] != "(":
            continue
        inside, at = _parenthesised(plain, at)
        if word[1] == "__launch_bounds__":
            bounds = f"({_split(inside)[0]})"
        elif not word[1].startswith("__"):
            if plain[at:].lstrip().startswith("{"):
                spaces = [s for s in scopes if s and s != LINKED]
                flags = "".join(str(int("__restrict" in p)) for p in _split(inside))
                yield Found(word[1], "::".join([*spaces, word[1]]), bounds, flags)
            return


def _parenthesised(plain: str, at: int) -> tuple[str, int]:
    """What stands in the parentheses that open at `at`, and where they have closed."""
    depth = 0
    for match in re.compile(r"[()]").finditer(plain, at):
        depth += 1 if match[0] == "(" else -1
        if not depth:
            return plain[at + 1 : match.start()], match.end()
    return plain[at + 1 :], len(plain)


def _split(text: str) -> list[str]:
    """At the commas outside of brackets."""
    parts, depth = [""], 0
    for c in text:
        depth += (c in "(<[{") - (c in ")>]}")
        if c == "," and not depth:
            parts.append("")
        else:
            parts[-1] += c
    return [part.strip() for part in parts]
