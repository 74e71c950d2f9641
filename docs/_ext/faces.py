"""The public names of the four packages, and what their docstrings leave out. Knows nothing of Sphinx.

A name is public when a face lists it: in `__all__`, or else without a leading underscore and defined in our packages.
Rules, each read off the code itself:

  documented  every public name, and every public method and property of a public class, has a text
  errors      where the code raises, the text of the function or of its class says so
  shapes      where an array comes in or goes out, the text of the function or of its class gives a shape
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
import sys
import textwrap
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

PACKAGES = ("theory", "synthetic", "deep", "avgmargin")
FACES = {
    "theory": ("theory", "theory.catalogue", "theory.plot"),
    "synthetic": ("synthetic", "synthetic.laws", "synthetic.frontier", "synthetic.learning", "synthetic.plot"),
    "deep": ("deep", "deep.distances", "deep.attacks", "deep.bounds", "deep.plot", "deep.tables"),
}
"""The pages of the reference and the modules on each; a name is described at the first module that shows it."""

_ARRAY = re.compile(r"ArrayLike|NDArray|ndarray|Tensor|Floats?Array|\bFloats\b")
_SHAPE = re.compile(
    r"shape|\((?:[a-zA-Z]\w?|\.\.\.|\d+)(?:, ?[\w.*]*)+\)|\bscalars?\b|numbers? or arrays?|\bin R\^", re.IGNORECASE
)
_ERROR = re.compile(r"[Rr]aises?\b|[Rr]efuse|[A-Z]\w*Error|Unknown[A-Z]\w+|NotSeparable|NotConverged")


@dataclass(frozen=True)
class Name:
    """A public name: the face that shows it, and the object."""

    face: str
    name: str
    value: Any

    @property
    def path(self) -> str:
        """The name as one would import it."""
        return f"{self.face}.{self.name}"

    @property
    def kind(self) -> str:
        """`class`, `function` or `data`."""
        if inspect.isclass(self.value):
            return "class"
        return "function" if inspect.isroutine(self.value) else "data"


def public(module: types.ModuleType) -> list[str]:
    """The public names of a module, in the order in which it lists them."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return list(listed)
    found = []
    for name, value in vars(module).items():
        home = str(getattr(value, "__module__", "") or "")
        # a package shows what it imports from below; a module that is no package shows what it defines
        ours = home.split(".")[0] in PACKAGES if hasattr(module, "__path__") else home == module.__name__
        foreign = (inspect.isclass(value) or callable(value)) and not ours
        if not (name.startswith("_") or inspect.ismodule(value) or foreign or name == "annotations"):
            found.append(name)
    return found


def names(modules: tuple[str, ...]) -> list[Name]:
    """Every public name of these modules once, at the first that shows it. A module that does not exist has none."""
    found: list[Name] = []
    seen: set[object] = set()
    for face in modules:
        if importlib.util.find_spec(face) is None:
            continue
        module = importlib.import_module(face)
        for name in public(module):
            value = getattr(module, name)
            if isinstance(value, (types.UnionType, types.GenericAlias)):
                continue  # the name of a type, explained where it is used
            # classes and functions are themselves wherever they are shown; a constant is its value under its name
            key: object = value if inspect.isclass(value) or inspect.isroutine(value) else (name, repr(value))
            if key not in seen:
                seen.add(key)
                found.append(Name(face, name, value))
    return found


def every_name() -> list[Name]:
    """The public names of all faces."""
    return [name for modules in FACES.values() for name in names(modules)]


def constant_text(name: Name) -> str:
    """The text below the assignment of a constant, in the module that makes it; empty where there is none."""
    for module in _modules_of(name.face.split(".")[0]):
        if getattr(module, name.name, None) is not name.value:
            continue
        try:
            body = ast.parse(inspect.getsource(module)).body
        except (OSError, TypeError):
            continue
        for statement, after in zip(body, [*body[1:], None], strict=True):
            targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
            mine = any(isinstance(target, ast.Name) and target.id == name.name for target in targets)
            if mine and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                return inspect.cleandoc(str(after.value.value))
    return ""


def _modules_of(package: str) -> list[types.ModuleType]:
    return [module for key, module in sorted(sys.modules.items()) if key.split(".")[0] == package]


def members(cls: type) -> Iterator[tuple[str, Any, str]]:
    """The public methods and properties that a class itself defines: name, function, its texts, inherited ones too."""
    for name, value in vars(cls).items():
        if name.startswith("_"):
            continue
        function: Any = value
        if isinstance(value, property):
            function = value.fget
        elif isinstance(value, (classmethod, staticmethod)):
            function = value.__func__
        elif hasattr(value, "func") and not inspect.isfunction(value):  # cached_property
            function = value.func
        if inspect.isfunction(function):
            texts = [text for base in cls.__mro__ if (text := _text(base.__dict__.get(name)))]
            yield name, function, "\n".join(texts)


def _text(value: Any) -> str:
    text = getattr(value, "__doc__", None) if value is not None else None
    return inspect.cleandoc(text) if isinstance(text, str) else ""


def class_text(cls: type) -> str:
    """The text of a class; empty where it is only the signature that a dataclass gives itself."""
    text = inspect.cleandoc(cls.__doc__ or "")
    return "" if text.startswith(f"{cls.__name__}(") else text


def gaps(name: Name) -> list[str]:
    """What the text of a public name leaves out, one line each: `path: rule`."""
    if name.kind == "data":
        return [] if constant_text(name) else [f"{name.path}: documented"]
    if name.kind == "function":
        return _function_gaps(name.path, name.value, inspect.cleandoc(name.value.__doc__ or ""), "")
    text = class_text(name.value)
    found = [] if text else [f"{name.path}: documented"]
    for member, function, own in members(name.value):
        if str(function.__module__).split(".")[0] in (*PACKAGES, name.value.__module__.split(".")[0]):
            found += _function_gaps(f"{name.path}.{member}", function, own, text)
    return found


def _function_gaps(path: str, function: Any, own: str, around: str) -> list[str]:
    found = [] if own else [f"{path}: documented"]
    text = f"{own}\n{around}"
    if _raises(function) and not _ERROR.search(text):
        found.append(f"{path}: errors")
    hints = " ".join(str(hint) for hint in getattr(function, "__annotations__", {}).values())
    if _ARRAY.search(hints) and not _SHAPE.search(text):
        found.append(f"{path}: shapes")
    return found


def _raises(function: Any) -> bool:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return False
    return any(isinstance(node, ast.Raise) and node.exc is not None for node in ast.walk(tree))
