"""A second look at binary certificates, with an arithmetic of its own.

`check_second` reads the same file as `theory.check` and shares nothing with it but the formula parser and the node
classes: the numbers are Python fractions (`elementary`, `rational`), slopes come from forward mode (`jets`), half-
lines and ties are treated in `germs`. python-flint is not imported. It answers `verified`, or says what it cannot
verify, which is never a statement that the claim is false. The rules are those of docs/theory/lemmas.md; where a box
needs it, this checker cuts the box further. docs/theory/second.md proves what differs.
"""

from .checking import SecondResult as SecondResult
from .checking import check_second as check_second
