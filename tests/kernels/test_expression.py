"""Expressions of a kernel file: what they mean, and that nothing else can be said in them."""

import numpy as np
import pytest
from dlcli_kernels.expression import Expression, ExpressionError
from dlcli_kernels.spec import Spec

MATRIX = Spec((3, 70), np.dtype(np.float32))
NAMES = {"a": MATRIX, "bias": None, "ta": False, "act": "relu", "pad": ((1, 2), (3, 4)), "T": 16}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("ceil_div(a.shape[1], T)", 5),
        ("a.shape[0] if ta else a.shape[1]", 70),
        ("a.size // 4 - -1", 53),
        ("a.ndim + len(a.shape)", 4),
        ("pad[1][0] * 2 % 4", 2),
        ("bias is None and not ta", True),
        ("bias is not None and bias.shape[0] > 3", False),
        ("act in [None, 'relu']", True),
        ("index([None, 'relu'], act)", 1),
        ("min(3, T) + max(a.shape[0], 2)", 6),
        ("1 < a.shape[0] <= 3", True),
        ("a.shape[-1]", 70),
    ],
)
def test_an_expression_has_the_value_that_python_gives_it(text, value):
    assert Expression(text).value(NAMES) == value


def test_wide_numbers_have_the_type_that_a_kernel_is_given():
    assert isinstance(Expression("int64(a.size)").value(NAMES), np.int64)
    assert isinstance(Expression("float64(1 / 3)").value(NAMES), np.float64)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "a.__class__",
        "a.shape.__len__()",
        "(lambda: 1)()",
        "[x for x in pad]",
        "9 ** 9 ** 9",
        "1 << 10**9",
        "f'{a}'",
        "x := 3",
        "min(*pad)",
        "max(1, key=2)",
        "a.dtype",
        "1 +",
        "1" * 501,
        "(" * 300 + ")" * 300,
    ],
)
def test_nothing_but_arithmetic_can_be_said(text):
    with pytest.raises(ExpressionError):
        Expression(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bias.shape[0]", "no value here"),
        ("a.shape[2]", "no value here"),
        ("T // 0", "no value here"),
        ("'a' * 1000000000", "no number"),
        ("index([None], act)", "no value here"),
    ],
)
def test_an_expression_without_a_value_says_so(text, said):
    with pytest.raises(ExpressionError, match=said):
        Expression(text).value(NAMES)


def test_an_unknown_name_is_said_with_the_one_that_was_meant():
    with pytest.raises(ExpressionError, match=r"no 'bais' here: did you mean 'bias'"):
        Expression("bais is None").check(NAMES)
