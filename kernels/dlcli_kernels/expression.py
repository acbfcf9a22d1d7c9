"""Small expressions over shapes, attributes and sizes, as a kernel file writes its launch in them.

    Expression("ceil_div(n, TILE)").value({"n": 70, "TILE": 16})      # 5

Arithmetic, comparisons, conditions, lists, `x.shape[0]`, `x.ndim`, `x.size` and the functions
below; nothing else: no other attribute, no other call, no names but those given. Standard library
and NumPy alone.
"""

from __future__ import annotations

import ast
import difflib
import operator
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

LONGEST = 500  # characters of an expression

ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}
COMPARISONS: dict[type, Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda x, many: x in many,
    ast.NotIn: lambda x, many: x not in many,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "ceil_div": lambda a, b: -(-a // b),
    "index": lambda many, x: list(many).index(x),
    "len": len,
    "min": min,
    "max": max,
    "int64": np.int64,  # a kernel's `long long`, where a plain integer is its `int`
    "float64": np.float64,  # a kernel's `double`, where a plain number is its `float`
}
ATTRIBUTES = ("shape", "size", "ndim")


class ExpressionError(ValueError):
    """An expression that cannot be read, or has no value for these names."""


def guess(name: str, known: Collection[str]) -> str:
    """`did you mean 'x'?` for the closest of `known`, or what there is."""
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else f"there is: {', '.join(sorted(known))}"


class Expression:
    """One expression. ExpressionError where it says something that is not allowed.

    names: the names that it takes from outside.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        if len(text) > LONGEST:
            raise ExpressionError(f"longer than {LONGEST} characters")
        try:
            self.tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError) as error:
            raise ExpressionError(f"'{text}' is no expression") from error
        nodes = list(ast.walk(self.tree))
        called = {node.func for node in nodes if isinstance(node, ast.Call)}
        for node in nodes:
            self._allow(node)
        self.names = {n.id for n in nodes if isinstance(n, ast.Name) and n not in called}

    def _allow(self, node: ast.AST) -> None:
        allowed = (
            ast.Constant | ast.Name | ast.List | ast.Tuple | ast.BinOp | ast.UnaryOp | ast.BoolOp
        )
        allowed |= ast.Compare | ast.IfExp | ast.Subscript | ast.expr_context | ast.boolop
        allowed |= ast.USub | ast.Not
        if isinstance(node, allowed) or type(node) in ARITHMETIC or type(node) in COMPARISONS:
            return
        if isinstance(node, ast.Attribute):
            if node.attr not in ATTRIBUTES:
                raise ExpressionError(f"'.{node.attr}': {guess(node.attr, ATTRIBUTES)}")
            return
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            if node.func.id not in FUNCTIONS:
                why = guess(node.func.id, FUNCTIONS)
                raise ExpressionError(f"there is no function '{node.func.id}': {why}")
            return
        raise ExpressionError(f"'{self.text}': {type(node).__name__} is not allowed")

    def check(self, known: Collection[str]) -> None:
        """ExpressionError if it uses a name that is none of `known`."""
        for name in sorted(self.names):
            if name not in known:
                raise ExpressionError(f"there is no '{name}' here: {guess(name, known)}")

    def value(self, names: Mapping[str, Any]) -> Any:
        """Its value. ExpressionError if it has none: an absent operand's shape, an index too high,
        a division by zero.
        """
        try:
            return self._value(self.tree, names)
        except (TypeError, AttributeError, LookupError, ArithmeticError, ValueError) as error:
            said = str(error) or type(error).__name__
            raise ExpressionError(f"'{self.text}' has no value here: {said}") from error

    def _value(self, node: ast.AST, names: Mapping[str, Any]) -> Any:
        def of(part: ast.AST) -> Any:
            return self._value(part, names)

        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                return names[node.id]
            case ast.List() | ast.Tuple():
                return tuple(of(element) for element in node.elts)
            case ast.BinOp():
                left, right = of(node.left), of(node.right)
                for side in (left, right):  # "a" * 10**9 would fill the memory
                    if not isinstance(side, int | float | np.number):
                        raise TypeError(f"{side!r} is no number")
                return ARITHMETIC[type(node.op)](left, right)
            case ast.UnaryOp():
                return not of(node.operand) if isinstance(node.op, ast.Not) else -of(node.operand)
            case ast.BoolOp(op=ast.And()):
                return all(of(part) for part in node.values)
            case ast.BoolOp():
                return any(of(part) for part in node.values)
            case ast.Compare():
                sides = [of(side) for side in (node.left, *node.comparators)]
                pairs = zip(sides, node.ops, sides[1:], strict=False)
                return all(COMPARISONS[type(how)](a, b) for a, how, b in pairs)
            case ast.IfExp():
                return of(node.body) if of(node.test) else of(node.orelse)
            case ast.Subscript():
                return of(node.value)[of(node.slice)]
            case ast.Attribute(attr="ndim"):
                return len(of(node.value).shape)
            case ast.Attribute():
                return getattr(of(node.value), node.attr)
            case ast.Call(func=ast.Name(id=name)):
                return FUNCTIONS[name](*(of(argument) for argument in node.args))
        raise TypeError(f"{type(node).__name__} is not allowed")
