"""Hostile variants of good inputs: bytes, JSON values, and text of a formula language."""

from __future__ import annotations

import copy
import random
from typing import Any

_INTERESTING = (0, 1, 2, 8, 10, 13, 34, 48, 92, 123, 127, 128, 255)
_TOKENS = [
    "t",
    "f",
    "y",
    "k",
    "j",
    "c",
    "p",
    "eta",
    "exp",
    "log",
    "log1p",
    "max",
    "min",
    "abs",
    "clip",
    "softplus",
    "logsumexp",
    "margin",
    "tau",
    "mu",
    "pi",
    "e",
    "step",
    "where",
    "sign",
    "inf",
    "nan",
    "+",
    "-",
    "*",
    "/",
    "**",
    "(",
    ")",
    ",",
    ".",
    "0",
    "1",
    "2",
    "1/2",
    "0.1",
    "1e3",
    "1e-400",
    "1e400",
    "9999999999",
    "0x10",
    "1_0",
    "[",
    "]",
    "{",
    "}",
    "=",
    "<",
    ">",
    "<=",
    "==",
    ":",
    ";",
    "'",
    '"',
    "\\",
    "@",
    "~",
    "^",
    "&",
    "|",
    "%",
    "lambda",
    "if",
    "else",
    "for",
    "in",
    "not",
    "and",
    "or",
    "True",
    "None",
    "__import__",
    "eval",
    "open",
    "os.system",
    "import",
    ".",
    "_",
    "__class__",
    "f'{t}'",
    "#",
]
_ATOMS = {False: ("t", "t", "t", "1", "1/2", "3"), True: ("fy", "alpha", "lse", "q", "c", "1", "2/3")}
_FORMS = (
    "({0} + {1})", "({0} - {1})", "{0}*{1}", "{0}/{1}", "exp({0})", "log1p(exp({0}))", "max({0}, {1})", "min({0}, {1})",
    "abs({0})", "clip({0}, 0, 5)", "-{0}", "({0})**2", "softplus({0})", "where({0} < {1}, {0}, {1})", "log({0})",
    "tanh({0})", "sqrt({0})",
)  # fmt: skip
_SUMS = ("sum_other({0}*fk)", "max_other({0} + fk)", "sum_other(qk*{0})")
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 3, 10**30, -(10**400), 0.5, 1e308, "", "1/2", "-1/3", "1/0", "inf", "-inf", "nan",
    "1e9", "9" * 500, "exp(-t)", "t", [], {}, [[]], ["1/2", "1/2"], {"": 0}, "consistent", "inconsistent", "gap",
    "calibration", "cone", "lemma",
)  # fmt: skip


def bytes_near(rng: random.Random, good: bytes) -> bytes:
    """`good` with up to eight edits: bits, bytes, cut, doubled, swapped or inserted pieces."""
    data = bytearray(good)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
        place = rng.randrange(len(data) + 1)
        width = rng.choice((1, 2, 4, 16, 64))
        match rng.randrange(7):
            case 0 if data:
                data[place % len(data)] ^= 1 << rng.randrange(8)
            case 1 if data:
                data[place % len(data)] = rng.choice(_INTERESTING)
            case 2:
                del data[place : place + width]
            case 3:
                data[place:place] = rng.randbytes(width)
            case 4:
                data[place:place] = data[place : place + width]
            case 5:
                del data[place:]
            case _:
                data[place : place + width] = bytes(rng.choice((0, 255)) for _ in range(width))
    return bytes(data)


def json_near(rng: random.Random, good: Any) -> Any:
    """A copy of a JSON value with one to three places replaced, removed, doubled or moved."""
    value = copy.deepcopy(good)
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = list(_places(value))
        if not places:
            return rng.choice(_VALUES)
        parent, key = rng.choice(places)
        match rng.randrange(5):
            case 0 | 1:
                parent[key] = copy.deepcopy(rng.choice(_VALUES))
            case 2:
                del parent[key]
            case 3:
                other, there = rng.choice(places)
                parent[key] = copy.deepcopy(other[there]) if _has(other, there) else None
            case _:
                parent[key] = _altered(rng, parent[key])
    return value


def formula(rng: random.Random, good: tuple[str, ...]) -> str:
    """Text that is nearly a formula: an edited good one, a chain of tokens, deep nesting, or any characters."""
    match rng.randrange(8):
        case 6 | 7:
            return _grown(rng, "fy" in "".join(good), rng.randrange(1, 6))
        case 0 | 1:
            text = list(rng.choice(good))
            for _ in range(rng.choice((1, 1, 2, 3))):
                place = rng.randrange(len(text) + 1)
                text[place : place + rng.randrange(3)] = rng.choice((*_TOKENS, " ", "", chr(rng.randrange(0x250))))
            return "".join(text)
        case 2 | 3:
            return rng.choice(("", " ")).join(rng.choice(_TOKENS) for _ in range(rng.randrange(1, 25)))
        case 4:
            depth, inner = rng.choice((3, 30, 300, 3000)), rng.choice(good)
            before, after = rng.choice((("(", ")"), ("exp(", ")"), ("-", ""), ("max(t,", ")"), ("[", "]"), ("t**", "")))
            return before * depth + inner + after * rng.choice((depth, depth - 1, 0))
        case _:
            return "".join(
                chr(rng.choice((rng.randrange(128), rng.randrange(0x110000)))) for _ in range(rng.randrange(40))
            )


def _grown(rng: random.Random, scores: bool, depth: int) -> str:
    if depth == 0:
        return rng.choice(_ATOMS[scores])
    form = rng.choice((*_FORMS, *(_SUMS if scores else ())))
    return form.format(*(_grown(rng, scores, rng.randrange(depth)) for _ in range(2)))


def _places(value: Any) -> Any:
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])


def _has(parent: Any, key: Any) -> bool:
    return key in parent if isinstance(parent, dict) else key < len(parent)


def _altered(rng: random.Random, value: Any) -> Any:
    if isinstance(value, str):
        return bytes_near(rng, value.encode()).decode("utf-8", "replace")
    if isinstance(value, int):
        return value + rng.choice((-1, 1, 10**6))
    if isinstance(value, list):
        return [*value, *copy.deepcopy(value[:1])]
    return [value]
