"""What the parser says to each formula that it refuses, word for word, and the last formula that it still reads.

Each line of the table is one way out of the parser; mutation testing found that tests which ask only for a
FormulaError let many a wrong way out live.
"""

from __future__ import annotations

from fractions import Fraction

import pytest

from theory.expression import BINARY_NAMES, PAIR_NAMES, SCORE_NAMES, FormulaError, parse
from theory.expression.nodes import Const, Max, Min, Var, Where
from theory.expression.parse import MAX_ARGUMENTS, MAX_DEPTH, MAX_EXPONENT, MAX_LENGTH, MAX_NODES, _constant_value

_NONE: frozenset[str] = frozenset()
_LANGUAGE = "is not part of the formula language"
_CLASSES = "belongs to multiclass formulas; give the number of classes"
_THREE = "it takes three arguments"
_WRITTEN = "is not known here; this kind of formula is written in"

REFUSED: list[tuple[str, frozenset[str], str]] = [
    ("", BINARY_NAMES, "formula is empty; it must hold one expression such as log1p(exp(-t))"),
    (" \n ", BINARY_NAMES, "formula is empty; it must hold one expression such as log1p(exp(-t))"),
    ("t + é", BINARY_NAMES, "formula, column 5: character 'é' is not plain ASCII"),
    ("t +\x07 1", BINARY_NAMES, "formula, column 4: character '\\x07' is not plain ASCII"),
    ("t\r+ 1", BINARY_NAMES, "formula, column 2: character '\\r' is not plain ASCII"),
    ("t\x0c", BINARY_NAMES, "formula, column 2: character '\\x0c' is not plain ASCII"),
    (" t + foo", BINARY_NAMES, "formula, column 6: unknown name 'foo'; known are t, and a parameter needs a value"),
    (
        " exq(t)",
        BINARY_NAMES,
        "formula, column 2: unknown function 'exq' (did you mean 'exp'?)",
    ),
    ("zzzz(t)", BINARY_NAMES, "formula, column 1: unknown function 'zzzz'"),
    ("exp.log(t)", BINARY_NAMES, "formula, column 1: only the named functions of the formula language can be called"),
    ("t.real", BINARY_NAMES, f"formula, column 1: Attribute {_LANGUAGE}"),
    ("t[0]", BINARY_NAMES, f"formula, column 1: Subscript {_LANGUAGE}"),
    ("[t]", BINARY_NAMES, f"formula, column 1: List {_LANGUAGE}"),
    ("1 + {t}", BINARY_NAMES, f"formula, column 5: Set {_LANGUAGE}"),
    ("not t", BINARY_NAMES, f"formula, column 1: UnaryOp {_LANGUAGE}"),
    ("~t", BINARY_NAMES, f"formula, column 1: UnaryOp {_LANGUAGE}"),
    ("t < 1", BINARY_NAMES, f"formula, column 1: Compare {_LANGUAGE}"),
    ("t and t", BINARY_NAMES, f"formula, column 1: BoolOp {_LANGUAGE}"),
    ("lambda: t", BINARY_NAMES, f"formula, column 1: Lambda {_LANGUAGE}"),
    ("t % 2", BINARY_NAMES, f"formula, column 1: BinOp {_LANGUAGE}"),
    (
        "2 * t^2",
        BINARY_NAMES,
        "formula, column 1: the operator ^ is not part of the formula language; write ** for powers",
    ),
    ("True", BINARY_NAMES, "formula, column 1: constant True must be a number"),
    ("'t'", BINARY_NAMES, "formula, column 1: constant 't' must be a number"),
    ("t + 2j", BINARY_NAMES, "formula, column 5: constant 2j must be a number"),
    ("0x10", BINARY_NAMES, "formula, column 1: number '0x10' must be written in decimal"),
    ("t + 0B1", BINARY_NAMES, "formula, column 5: number '0B1' must be written in decimal"),
    ("0o7", BINARY_NAMES, "formula, column 1: number '0o7' must be written in decimal"),
    ("v", BINARY_NAMES, f"formula, column 1: name 'v' {_WRITTEN} t"),
    ("t", _NONE, f"formula, column 1: name 't' {_WRITTEN} none"),
    ("t", SCORE_NAMES, f"formula, column 1: name 't' {_WRITTEN} alpha, c, fy, lse, q"),
    ("alpha", BINARY_NAMES, f"formula, column 1: name 'alpha' {_CLASSES}"),
    ("1 - q", PAIR_NAMES, f"formula, column 5: name 'q' {_CLASSES}"),
    ("qk", SCORE_NAMES, "formula, column 1: name 'qk' is known only inside sum_other(...) and max_other(...)"),
    ("fk", BINARY_NAMES, "formula, column 1: name 'fk' is known only inside sum_other(...) and max_other(...)"),
    (
        "lsse",
        SCORE_NAMES,
        "formula, column 1: unknown name 'lsse' (did you mean 'lse'?); known are alpha, c, fy, lse, q,"
        " and a parameter needs a value",
    ),
    (
        "sum_other(zzzz)",
        SCORE_NAMES,
        "formula, column 11: unknown name 'zzzz'; known are alpha, c, fk, fy, lse, q, qk,"
        " and a parameter needs a value",
    ),
    ("sum_other(t)", BINARY_NAMES, f"formula, column 1: sum_other {_CLASSES}"),
    ("1 + max_other(max_other(fk))", SCORE_NAMES,
     "formula, column 15: max_other cannot stand inside sum_other or max_other"),
    ("sum_other()", SCORE_NAMES, "formula, column 1: sum_other has 0 arguments; it takes one argument"),
    ("max_other(fk, fk)", SCORE_NAMES, "formula, column 1: max_other has 2 arguments; it takes one argument"),
    ("exp()", BINARY_NAMES, "formula, column 1: exp has 0 arguments; it takes one argument"),
    ("1 + exp(t, t)", BINARY_NAMES, "formula, column 5: exp has 2 arguments; it takes one argument"),
    ("max(t)", BINARY_NAMES, f"formula, column 1: max has 1 arguments; it takes two to {MAX_ARGUMENTS} arguments"),
    ("min()", BINARY_NAMES, f"formula, column 1: min has 0 arguments; it takes two to {MAX_ARGUMENTS} arguments"),
    ("clip(t, 1)", BINARY_NAMES, f"formula, column 1: clip has 2 arguments; {_THREE}: value, low, high"),
    ("clip(t, 1, 2, 3)", BINARY_NAMES, f"formula, column 1: clip has 4 arguments; {_THREE}: value, low, high"),
    ("where(t < 1, 2)", BINARY_NAMES, f"formula, column 1: where has 2 arguments; {_THREE}: condition, a, b"),
    ("exp(x=t)", BINARY_NAMES, "formula, column 1: exp takes plain arguments only"),
    ("exp(*t)", BINARY_NAMES, "formula, column 1: exp takes plain arguments only"),
    ("max(t, *t)", BINARY_NAMES, "formula, column 1: max takes plain arguments only"),
    *(
        (f"where({condition}, t, 1)", BINARY_NAMES,
         "formula, column 7: the condition of where must be one comparison with <, <=, > or >=")
        for condition in ("t", "t == 1", "t != 1", "0 < t < 1", "t in t", "t is t", "not t")
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "names", "words"), REFUSED, ids=[text[:20] for text, _, _ in REFUSED])
def test_each_refusal_in_its_own_words(text: str, names: frozenset[str], words: str) -> None:
    with pytest.raises(FormulaError) as refusal:
        parse(text, names)
    assert str(refusal.value) == words


@pytest.mark.parametrize(
    ("read", "refused", "words"),
    [
        ("t".ljust(MAX_LENGTH), "t".ljust(MAX_LENGTH + 1), f"formula has {MAX_LENGTH + 1} characters; at most"),
        (
            "+".join(["t"] * 32),
            "max(" + ", ".join(["+".join(["t"] * 16)] * 33) + ")",
            rf"formula, column \d+: more than {MAX_NODES} nodes",
        ),
        (
            "max(" + ", ".join(["t"] * MAX_ARGUMENTS) + ")",
            "max(" + ", ".join(["t"] * (MAX_ARGUMENTS + 1)) + ")",
            f"column 1: max has {MAX_ARGUMENTS + 1} arguments",
        ),
        ("(" * MAX_DEPTH + "t" + ")" * MAX_DEPTH, "(" * (MAX_DEPTH + 1) + "t" + ")" * (MAX_DEPTH + 1),
         f"formula, column {MAX_DEPTH + 1}: brackets nest deeper than {MAX_DEPTH}"),
        (f"t**{MAX_EXPONENT}", f"t**{MAX_EXPONENT + 1}", rf"column 4: exponent must lie in \[-{MAX_EXPONENT}, "),
        (f"t**-{MAX_EXPONENT}", f"t**-{MAX_EXPONENT + 1}", "column 4: exponent must lie in"),
        ("(1 - t)**(2 + 1/3)", "(1 - t)**(2 - -99)", "column 11: exponent must lie in"),
    ],
)  # fmt: skip
def test_each_limit_at_the_limit_and_just_beyond(read: str, refused: str, words: str) -> None:
    parse(read)
    with pytest.raises(FormulaError, match=words):
        parse(refused)


def test_exactly_the_allowed_number_of_nodes_is_read() -> None:
    def formula(nodes: int) -> str:
        """So many nodes, in sums of 21 names and a flat maximum over them."""
        sums, rest = divmod(nodes - 1, 41)
        arguments = ["+".join(["t"] * 21)] * sums + ["t"] * rest
        assert len(arguments) <= MAX_ARGUMENTS
        return f"max({', '.join(arguments)})"

    for beyond in (-9, -1, 0):
        parse(formula(MAX_NODES + beyond))
    with pytest.raises(FormulaError, match="more than"):
        parse(formula(MAX_NODES + 1))


@pytest.mark.parametrize("bracket", ["(", "[", "{"])
def test_brackets_of_every_kind_are_counted(bracket: str) -> None:
    with pytest.raises(FormulaError, match=f"column {MAX_DEPTH + 3}: brackets nest deeper"):
        parse("1+" + bracket * (MAX_DEPTH + 1) + "t")


def test_brackets_that_close_make_room_for_others() -> None:
    closed = "(t) + " * 20 + "(" * (MAX_DEPTH - 1) + "t" + ")" * (MAX_DEPTH - 1)
    parse(closed)


def test_digits_beyond_every_limit_are_refused_in_one_line() -> None:
    for text in ("1e999999999", "1e-999999999", "9" * 900, "1e401", "0." + "1" * 900):
        with pytest.raises(FormulaError, match=r"^formula, column 5: ") as refusal:
            parse(f"t + {text}")
        assert "\n" not in str(refusal.value)


def test_what_stands_for_what() -> None:
    one, two, t = Const(Fraction(1)), Const(Fraction(2)), Var("t")
    for sign in ("<", "<=", ">", ">="):
        assert parse(f"where(t {sign} 1, 2, t)") == Where(sign, t, one, two, t)
    assert parse("max(t, 1, 2)") == Max(Max(t, one), two)
    assert parse("min(t, 1, 2)") == Min(Min(t, one), two)
    assert parse("1_000*t") == Const(Fraction(1000)) * t
    assert parse("\tt + 1 \n") == t + one


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2**3", 8), ("(-2)**3", -8), ("2**-1", "1/2"), ("0**0", 1), ("0**2", 0), ("(2/3)**2", "4/9"),
        ("1/0", None), ("0/1", 0), ("7 - 9/2", "5/2"), ("-(3*1/2)", "-3/2"), ("0**-1", 101), ("10**6", 101),
        ("999999 + 1", 1000000), ("0**(1/2)", 0), ("4**(1/2)", 2), ("t", None), ("t + 1", None),
        ("1 + t", None), ("-t", None), ("exp(0)", None), ("max(1, 2)", None), ("1.5**50", 101), ("2**(0*101)", 1),
        ("0**1", 0), ("1**100", 1), ("3**0", 1), ("(1/2)**7", "1/128"), ("pi", None), ("pi * 2", None),
        ("1/1 + 0", 1), ("2**19", 524288), ("(1/2)**100", str(Fraction(1, 2**100))), ("10**5", 100000),
    ],
)  # fmt: skip
def test_the_value_of_an_exponent_is_exact_where_it_is_short(text: str, value: object) -> None:
    found = _constant_value(parse(text))
    assert found == (None if value is None else Fraction(str(value)))
