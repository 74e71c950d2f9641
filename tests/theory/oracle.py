"""The published verdicts on binary losses (shared material): reading them, and translating their formulas.

The oracle writes formulas in SymPy's syntax. They are never evaluated by SymPy or Python: `translate` turns
the syntax tree into our formula language, and `closed_form` computes the few functions that f* and psi use.
"""

from __future__ import annotations

import ast
import json
import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from theory import Loss, from_formula

_OPERATORS = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv),
    ast.Pow: ("**", operator.pow),
}
_COMPARISONS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_FUNCTIONS = {
    "Max": ("max", max),
    "Min": ("min", min),
    "Abs": ("abs", abs),
    "exp": ("exp", math.exp),
    "log": ("log", math.log),
    "sqrt": ("sqrt", math.sqrt),
    "tanh": ("tanh", math.tanh),
    "atan": ("atan", math.atan),
    "tan": (None, math.tan),
}


@dataclass(frozen=True)
class Published:
    """One row of the oracle at one setting of its parameters."""

    row: Mapping[str, Any]
    parameters: Mapping[str, float]
    consistent: bool

    @property
    def label(self) -> str:
        """The row's name and setting, for messages."""
        return f"{self.row['id']} {dict(self.parameters)}"

    def loss(self) -> Loss:
        """The loss in our own formula language."""
        domain = "all"
        if self.row["score_domain"] != "R":
            low, high = json.loads(self.row["score_domain"])
            assert low == -high
            domain = f"bounded:{high}"
        return from_formula(translate(self.row["formula"]), parameters=dict(self.parameters), domain=domain)

    def closed(self, key: str, **values: float) -> float | None:
        """f_star or psi at the given values, or None where the oracle has none."""
        text = self.row.get(key)
        return None if text is None else closed_form(text, {**self.parameters, **values})


def binary_rows(folder: Path) -> list[Published]:
    """Every binary row and setting, in order."""
    data = json.loads((folder / "oracle" / "oracle.json").read_text(encoding="utf-8"))
    return [
        Published(row, setting["params"], setting["verdict"] == "consistent")
        for row in data["rows"]
        if row["kind"] == "binary"
        for setting in row["settings"]
    ]


def translate(text: str) -> str:
    """A formula in SymPy's syntax in our language.

    >>> translate("Piecewise((2,t<0),(2*Max(0,1-t),True))")
    'where(t < 0, 2, (2 * max(0, (1 - t))))'
    """
    return _text(ast.parse(text, mode="eval").body)


def _text(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return repr(value)
        case ast.Name(id=name):
            return name
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return f"(-{_text(operand)})"
        case ast.BinOp(left=left, op=op, right=right):
            return f"({_text(left)} {_OPERATORS[type(op)][0]} {_text(right)})"
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return f"{_text(left)} {_COMPARISONS[type(op)]} {_text(right)}"
        case ast.Call(func=ast.Name(id="Rational"), args=[above, below]):
            return f"({_text(above)} / {_text(below)})"
        case ast.Call(func=ast.Name(id="Piecewise"), args=[*pieces, ast.Tuple(elts=[last, ast.Constant(value=True)])]):
            result = _text(last)
            for piece in reversed(pieces):
                assert isinstance(piece, ast.Tuple)
                value, condition = piece.elts
                result = f"where({_text(condition)}, {_text(value)}, {result})"
            return result
        case ast.Call(func=ast.Name(id=name), args=arguments) if _FUNCTIONS[name][0] is not None:
            return f"{_FUNCTIONS[name][0]}({', '.join(map(_text, arguments))})"
    raise ValueError(f"no translation of {ast.unparse(node)!r}")


def closed_form(text: str, values: Mapping[str, float]) -> float:
    """The number that an expression in SymPy's syntax stands for.

    >>> closed_form("log(eta/(1-eta))/2", {"eta": 0.5})
    0.0
    """

    def go(node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=int() | float() as value):
                return value
            case ast.Name(id="pi"):
                return math.pi
            case ast.Name(id=name):
                return values[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -go(operand)
            case ast.BinOp(left=left, op=op, right=right):
                return _OPERATORS[type(op)][1](go(left), go(right))
            case ast.Call(func=ast.Name(id="Rational"), args=[above, below]):
                return Fraction(go(above), go(below))
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return _FUNCTIONS[name][1](*map(go, arguments))
        raise ValueError(f"no value of {ast.unparse(node)!r}")

    return float(go(ast.parse(text, mode="eval").body))
