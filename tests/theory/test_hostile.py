"""Text that is not a formula: one line of FormulaError, at once, whatever it is."""

from __future__ import annotations

import ast
import time
import warnings
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from theory import Domain, from_formula
from theory.expression import SCORE_NAMES, Const, Expr, FormulaError, Var, evaluate_array, parse, stabilise, to_text

SECONDS = 1.0

HOSTILE = {
    "import": "__import__('os').system('x')",
    "attribute": "t.__class__",
    "attribute of a number": "(1).real",
    "subscript": "t[0]",
    "lambda": "lambda: 1",
    "called lambda": "(lambda x: x)(t)",
    "list comprehension": "[t for t in (1, 2)]",
    "generator": "max(t for t in (1, 2))",
    "set": "{t}",
    "dict": "{1: t}",
    "tuple": "(t, 1)",
    "f-string": "f'{t}'",
    "string": "'t'",
    "bytes": "b't'",
    "walrus": "(x := 1)",
    "assignment": "t = 1",
    "statement": "import os",
    "two statements": "t; t",
    "conditional": "1 if t else 0",
    "conditional without space": "1if t else 0",
    "boolean operator": "t and 1",
    "not": "not t",
    "invert": "~t",
    "True": "True",
    "None": "None",
    "Ellipsis": "...",
    "complex": "1j",
    "floor division": "t // 2",
    "modulo": "t % 2",
    "matrix product": "t @ t",
    "shift": "1 << 100",
    "bits": "1 | 2",
    "await": "await t",
    "yield": "(yield)",
    "starred": "max(*t)",
    "starred alone": "*t",
    "keyword": "max(t, key=1)",
    "double star": "exp(**t)",
    "comparison": "t < 1",
    "chained comparison": "where(0 < t < 1, 1, 2)",
    "equality": "where(t == 1, 1, 2)",
    "in": "where(t in t, 1, 2)",
    "is": "where(t is 1, 1, 2)",
    "where without comparison": "where(t, 1, 2)",
    "too few arguments": "clip(t, 1)",
    "too many arguments": "exp(t, t)",
    "no argument": "max()",
    "unknown function": "eval(t)",
    "builtin": "print(t)",
    "dunder": "__builtins__",
    "hexadecimal": "0xff * t",
    "octal": "0o17",
    "binary number": "0b1",
    "tower": "9**9**9**9",
    "tower of small powers": "6**6**6**6",
    "exponent": "t**1000",
    "negative exponent": "t**-1000",
    "computed exponent": "t**(99 + 2)",
    "power as exponent": "t**(9**6)",
    "power of a power as exponent": "t**((9**6)**6)",
    "huge literal": "1e99999999",
    "huge literal, negative": "t * 1e-99999999",
    "long literal": "1" * 65,
    "very long literal": "9" * 3999,
    "brackets": "(" * 10_000 + "t" + ")" * 10_000,
    "61 brackets": "(" * 61 + "t" + ")" * 61,
    "unclosed brackets": "(" * 50,
    "70 minus": "-" * 70 + "t",
    "3000 minus": "-" * 3000 + "t",
    "nested calls": "exp(" * 59 + "-" * 10 + "t" + ")" * 59,
    "long sum": "+".join(["t"] * 1500),
    "wide maximum": "max(" + ",".join(["t"] * 1200) + ")",
    "too long": "t + " * 2000 + "t",
    "very long": "t" * 1_000_000,
    "non-ASCII letter": "τ - t",
    "homoglyph": "ехр(t)",
    "full-width": "ｔ",
    "non-breaking space": "t +\u00a01",
    "surrogate": "t\ud800",
    "null byte": "t\x00",
    "only null": "\x00",
    "escape": "\x1b[31mt",
    "form feed": "t\x0c+ 1",
    "bad escape": "'\\d'",
    "comment only": "# t",
    "empty": "",
    "blank": " \n\t ",
    "two lines": "t\nt",
}


def refuses_at_once(text: str, read: Callable[[str], Any] = parse) -> bool:
    """The property: FormulaError with one short line, within a second, and no warning on the way."""
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            read(text)
        except FormulaError as error:
            line = str(error)
            return time.process_time() - start < SECONDS and "\n" not in line and line.startswith("formula")
        except Exception:
            return False
    return False


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.timeout(20)
def test_hostile_text_is_refused(text: str) -> None:
    assert refuses_at_once(text)


def _warns(text: str) -> None:
    warnings.warn("text", DeprecationWarning, stacklevel=1)
    parse(text)


def _dawdles(text: str) -> None:
    end = time.process_time() + SECONDS
    while time.process_time() < end:
        pass
    parse(text)


def _two_lines(text: str) -> None:
    raise FormulaError("formula\nis wrong")


@pytest.mark.parametrize("read", [ast.parse, len, _warns, _dawdles, _two_lines])
def test_the_check_can_say_no(read: Callable[[str], Any]) -> None:
    assert not refuses_at_once("softplus(-t)")
    assert refuses_at_once("t +")
    assert not refuses_at_once("t +", read)


@pytest.mark.parametrize("names", [SCORE_NAMES], ids=["multiclass"])
def test_hostile_class_sums(names: frozenset[str]) -> None:
    for text in ("sum_other()", "sum_other(fk, fk)", "sum_other(sum_other(fk))", "sum_other(fk=1)", "fk", "c.real"):
        with pytest.raises(FormulaError, match=r"^formula, column"):
            parse(text, names)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "number", ["1e99999999", "1e-99999999", "1" * 5000, "nan", "inf", "1/0", "0x10", "", "one", "1,2,"]
)
def test_hostile_numbers(number: str) -> None:
    start = time.process_time()
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z"):
        from_formula("a * t", parameters={"a": number})
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z"):
        Domain.parse(f"bounded:{number}")
    assert time.process_time() - start < SECONDS


ALPHABET = "tvfykqc0123456789.e+-*/%()[]{},<>=!&|^~@:;'\"\\_# \n\tabmxinlogspw"
WORDS = st.one_of(
    st.sampled_from(["t", "1", "0.5", "1e9", "pi", " ", "(", ")", ",", "+", "-", "*", "**", "/", "<", "<="]),
    st.sampled_from(["max(", "min(", "exp(", "where(", "clip(", "sum_other(", "abs(", "log("]),
    st.sampled_from(["lambda", " if ", "else ", ":=", "'", "[", "]", "{", "}", ".", "_", "not ", "#"]),
)


def only_a_tree_or_a_formula_error(text: str, read: Callable[[str], Any] = parse) -> bool:
    """The property: a tree that can be used and printed, or FormulaError in one line; nothing else, and no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            tree = read(text)
        except FormulaError as error:
            return "\n" not in str(error)
        except Exception:
            return False
        try:
            evaluate_array(stabilise(tree), {"t": 0.37})  # type: ignore[dict-item]
            return isinstance(tree, Expr) and parse(to_text(tree)) == tree
        except Exception:
            return False


@given(st.text(max_size=60))
def test_any_text(text: str) -> None:
    assert only_a_tree_or_a_formula_error(text)


@given(st.text(ALPHABET, max_size=80))
@example("1if t else 2")
@example("'\\d'")
def test_any_text_in_the_alphabet(text: str) -> None:
    assert only_a_tree_or_a_formula_error(text)


@given(st.lists(WORDS, max_size=25).map("".join))
@example("max(" + ",".join(["t"] * 900) + ")")
@example("1e-40 * t")
def test_any_words(text: str) -> None:
    assert only_a_tree_or_a_formula_error(text)


def test_the_fuzz_can_say_no() -> None:
    """Parsers that let SyntaxError out, make something else, or make trees that do not print do not pass."""
    assert only_a_tree_or_a_formula_error("t + 1")
    for text, read in [
        ("t +", ast.parse),
        ("t + 1", ast.parse),
        ("t + 1", lambda text: Const(Fraction(-1, 3))),
        ("t + 1", lambda text: Var("unknown")),
    ]:
        assert not only_a_tree_or_a_formula_error(text, read)


@pytest.mark.parametrize("count", [55, 100, 300, 600, 900])
def test_wide_formulas_stay_usable(count: int) -> None:
    """Outside Hypothesis, which raises the recursion limit: what is read can also be used."""
    assert only_a_tree_or_a_formula_error("max(" + ",".join(["t"] * count) + ")")
    assert only_a_tree_or_a_formula_error("+".join(["t"] * count))
