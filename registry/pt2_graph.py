"""What the graph inside a pt2 may say. Torch runs its size expressions and guards as Python.

Expressions go through `sympy.sympify`, guards through `exec`. MLflow's check for pickles reads JSON as
harmless; a planted expression ran with that check on. Here an expression may hold symbols, numbers and the few
functions that sizes are made of, and a guard may compare sizes; an operator must be one of torch's own tensor
operators; names must be names, for torch writes them into generated source.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from core.errors import ModelRefused

NAME = re.compile(r"[A-Za-z_]\w{0,199}")
DOTTED = re.compile(r"[\w.]{0,400}")
OPERATOR_KEYS = frozenset({"target", "as_operator"})
NAME_KEYS = frozenset({"name", "forward_arg_names", "as_name"})
DOTTED_KEYS = frozenset({"parameter_name", "buffer_name", "tensor_constant_name", "fqn"})
CUSTOM_KEYS = frozenset({"as_custom_obj", "as_opaque", "custom_obj_name", "custom_obj"})
TREE_KEYS = frozenset({"in_spec", "out_spec"})
TREE_TYPES = (None, "builtins.tuple", "builtins.list", "builtins.dict")

OPERATORS = re.compile(
    r"torch\.ops\.(aten|prims)\.(?!from_file)\w+(\.\w+)?"
    r"|torch\.ops\.higher_order\.(cond|wrap_with_set_grad_enabled|wrap_with_autocast)"
    r"|torch\.sym_\w+"
    r"|math\.(ceil|floor|trunc)"
    r"|_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|pow|neg|pos|eq|ne|lt|le|gt|ge|and_|or_|not_)"
)
SIZE_FUNCTIONS = re.compile(
    r"Symbol|Integer|Float|Rational|Add|Mul|Pow|Max|Min|Mod|FloorDiv|CeilDiv|PythonMod|CleanDiv|IntTrueDiv"
    r"|Eq|Ne|Lt|Le|Gt|Ge|And|Or|Not|TruncToInt|FloorToInt|CeilToInt|ToFloat|Identity|Where"
)
SIZE_SYMBOL = re.compile(r"[suz]\d{1,6}|true|false")
SIZE_NODES = (
    *(ast.Expression, ast.Call, ast.Name, ast.Constant, ast.keyword, ast.Load),
    *(ast.BinOp, ast.UnaryOp, ast.Compare, ast.operator, ast.unaryop, ast.cmpop),
)
GUARD_NODES = (*SIZE_NODES, ast.Subscript, ast.Attribute, ast.BoolOp, ast.boolop)


def check_graph(graph: Mapping[str, Any]) -> None:
    """Raise ModelRefused for any text that torch would run, resolve or write into source unchecked."""
    for key, value in _entries(graph):
        if key in CUSTOM_KEYS:
            raise ModelRefused("the pt2 graph refers to a custom object")
        if isinstance(value, str):
            _check_text(key, value)


def _entries(node: object, key: str = "") -> Iterator[tuple[str, object]]:
    """Every key with its value, at any depth; the items of a list come under the list's key."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield name, value
            yield from _entries(value, name)
    elif isinstance(node, list):
        for value in node:
            yield key, value
            yield from _entries(value, key)


def _check_text(key: str, text: str) -> None:
    if key == "expr_str":
        check_expression(text)
    elif key == "guards_code":
        check_guard(text)
    elif key in OPERATOR_KEYS and not OPERATORS.fullmatch(text):
        raise ModelRefused("the pt2 graph calls something that is not a tensor operator of torch")
    elif key in NAME_KEYS and not NAME.fullmatch(text):
        raise ModelRefused("the pt2 graph has a name that is not one")
    elif key in DOTTED_KEYS and not DOTTED.fullmatch(text):
        raise ModelRefused("the pt2 graph has a parameter name that is not one")
    elif key in TREE_KEYS:
        _check_tree(text)


def check_expression(text: str) -> None:
    """Raise ModelRefused unless a size is arithmetic on symbols: `Symbol('s7', integer=True)*2`."""
    if not all(isinstance(node, SIZE_NODES) and _is_arithmetic(node) for node in _nodes(text)):
        raise ModelRefused("the pt2 graph holds code in the place of a size expression")


def check_guard(text: str) -> None:
    """Raise ModelRefused unless a guard compares sizes of the inputs: `L['x'].size()[0] == 2`."""
    if not all(isinstance(node, GUARD_NODES) and _is_size_of_input(node) for node in _nodes(text)):
        raise ModelRefused("the pt2 graph holds code in the place of a guard on its input's sizes")


def _nodes(text: str) -> list[ast.AST]:
    try:
        return list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ModelRefused("the pt2 graph holds an expression that cannot be read") from error


def _is_size_of_input(node: ast.AST) -> bool:
    match node:
        case ast.Name(id=name):
            return name == "L"
        case ast.Attribute(attr=attribute):
            return attribute == "size"
        case ast.Call(func=ast.Attribute(), args=[], keywords=[]):
            return True
        case ast.Call():
            return False
        case _:
            return _is_arithmetic(node)


def _is_arithmetic(node: ast.AST) -> bool:
    match node:
        case ast.Name(id=name):
            return bool(SIZE_FUNCTIONS.fullmatch(name) or SIZE_SYMBOL.fullmatch(name))
        case ast.Call(func=function):
            return isinstance(function, ast.Name) and SIZE_FUNCTIONS.fullmatch(function.id) is not None
        case ast.Constant(value=str(text)):
            return NAME.fullmatch(text) is not None and "__" not in text
        case ast.Constant(value=value):
            return isinstance(value, int | float)
        case _:
            return True


def _check_tree(text: str) -> None:
    """A pytree spec of tuples, lists and dicts with plain keys; other types are imported by name."""
    for key, value in _entries(json.loads(text)):
        if key == "type" and value not in TREE_TYPES:
            raise ModelRefused(
                "the pt2 graph takes or returns something else than tensors in tuples, lists, dicts"
            )
        if key == "context" and isinstance(value, str) and not _plain_context(value):
            raise ModelRefused("the pt2 graph takes or returns a dict whose keys are not names")


def _plain_context(context: str) -> bool:
    keys = json.loads(context)
    return keys is None or all(isinstance(key, str) and NAME.fullmatch(key) for key in keys)
