"""Attention: queries (N, Q, ·) against the keys of their own sequence (N, S, ·).

Sequence n has lengths[n] keys, (N,) int32; what stands past them is not looked at.
`DotAttention` and `AdditiveAttention` return what each query found, (N, Q, ·): the mean of the
keys, weighted; and the weights (N, Q, S), which sum to 1 over the keys and are 0 past a length. A
sequence of length 0 gives zeros. `MultiHeadAttention` never makes the weights as an array.
"""

from __future__ import annotations

import numpy as np
from dlcli_kernels.philox import Generator

from ..engine.tape import apply
from ..engine.tensor import Tensor
from . import init
from .linear import Linear
from .module import Module, Parameter
from .recurrent import uniform


def weights_of(scores: Tensor, lengths: Tensor | None) -> Tensor:
    """Softmax over the keys of a sequence: scores (N, …, S) → weights, 0 past its length."""
    found: Tensor = (
        apply("softmax", scores) if lengths is None else apply("masked_softmax", scores, lengths)
    )
    return found


def product(a: Tensor, b: Tensor, *, ta: bool = False, tb: bool = False) -> Tensor:
    """The products of pairs of matrices: (N, M, K) and (N, K, C) → (N, M, C)."""
    found: Tensor = apply("bmm", a, b, ta=ta, tb=tb)
    return found


def check(layer: Module, queries: Tensor, keys: Tensor) -> None:
    """ValueError unless both are sequences of the same number."""
    if len(queries.shape) != 3 or len(keys.shape) != 3 or queries.shape[0] != keys.shape[0]:
        raise ValueError(
            f"{type(layer).__name__}: queries (N, Q, ·) and keys (N, S, ·) are needed, not"
            f" {queries.shape} and {keys.shape}"
        )


class DotAttention(Module):
    """score = query · key (Luong et al. 2015, "dot"), times `scale` where one is given: 1/√features
    is that of Vaswani et al. 2017. Queries and keys have the same features.
    """

    def __init__(self, scale: float | None = None) -> None:
        self.scale = scale

    def forward(
        self, queries: Tensor, keys: Tensor, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """(N, Q, features), weights (N, Q, S). ValueError if operands do not fit."""
        check(self, queries, keys)
        scores = product(queries, keys, tb=True)
        if self.scale is not None:
            scores = apply("scale", scores, by=self.scale)
        weights = weights_of(scores, lengths)
        return product(weights, keys), weights


class AdditiveAttention(Module):
    """score = v · tanh(W query + U key) (Bahdanau et al. 2015).

    query, key: features of a query and of a key. units: of the network that makes a score.
    Parameters: query.weight (units, query), key.weight (units, key), v (units,), all from
    U(±1/√ what they multiply).
    """

    def __init__(self, query: int, key: int, units: int) -> None:
        if min(query, key, units) < 1:
            raise ValueError(
                f"AdditiveAttention: {query} and {key} features and {units} units must each be 1"
                " or more"
            )
        self.query = Linear(query, units, bias=False)
        self.key = Linear(key, units, bias=False)
        self.v = Parameter((units,), uniform(units**-0.5))

    def project(self, keys: Tensor) -> Tensor:
        """U key of all keys (N, S, units): made once where queries come one after the other."""
        found: Tensor = self.key(keys)
        return found

    def forward(
        self,
        queries: Tensor,
        keys: Tensor,
        lengths: Tensor | None = None,
        projected: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """(N, Q, key), weights (N, Q, S). projected: what `project` made of the keys. ValueError if
        operands do not fit.
        """
        check(self, queries, keys)
        known = self.project(keys) if projected is None else projected
        scores = apply("additive_scores", self.query(queries), known, self.v, lengths)
        weights = weights_of(scores, lengths)
        return product(weights, keys), weights


class MultiHeadAttention(Module):
    """Attentions side by side, each in its own part of the features (Vaswani et al. 2017):

        out = W_out [head₁ … head_H] + b,  headₕ = softmax(Q Kᵀ / √d) V,  Q, K, V = projections

    embed_dim: features of queries and of the output, a multiple of num_heads. kdim, vdim: features
    of keys and of values, where they are others. bias: of all four projections.

    Parameters: q_proj, k_proj, v_proj and out_proj, each with weight and bias: PyTorch's, which
    keeps the first three in one in_proj_weight (3·embed_dim, embed_dim). They begin as there: the
    three from Glorot's uniform distribution of that one matrix, or each of its own where kdim or
    vdim differ; out_proj.weight from U(±1/√embed_dim); biases 0. There is no dropout of weights.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        *,
        bias: bool = True,
        kdim: int | None = None,
        vdim: int | None = None,
    ) -> None:
        if min(embed_dim, num_heads) < 1 or embed_dim % num_heads:
            raise ValueError(
                f"MultiHeadAttention: {embed_dim} features do not divide among {num_heads} heads"
            )
        self.num_heads = num_heads
        k, v = kdim or embed_dim, vdim or embed_dim
        fill = glorot_of_three if k == v == embed_dim else init.glorot_uniform
        self.q_proj = Linear(embed_dim, embed_dim, bias=bias, fill=fill)
        self.k_proj = Linear(k, embed_dim, bias=bias, fill=fill)
        self.v_proj = Linear(v, embed_dim, bias=bias, fill=fill)
        self.out_proj = Linear(embed_dim, embed_dim, bias=bias)
        for projection in (self.q_proj, self.k_proj, self.v_proj, self.out_proj):
            if projection.bias is not None:
                projection.bias.fill = init.zeros

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        lengths: Tensor | None = None,
        *,
        causal: bool = False,
    ) -> Tensor:
        """(N, T, embed_dim) of query (N, T, embed_dim), key (N, S, kdim) and value (N, S, vdim).

        key: the queries by default (self-attention); value: the keys. lengths: of the keys, (N,)
        int32. causal: query t sees the keys 0 … t. ValueError if operands do not fit.
        """
        key = query if key is None else key
        value = key if value is None else value
        check(self, query, key)
        q, k, v = self.q_proj(query), self.k_proj(key), self.v_proj(value)
        by_heads = [x.reshape(*x.shape[:2], self.num_heads, -1) for x in (q, k, v)]
        found = apply("attention", *by_heads, lengths, causal=causal, scale=None)
        out: Tensor = self.out_proj(found.reshape(*q.shape))
        return out


def glorot_of_three(rng: Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Glorot's uniform distribution for one of three matrices that are one of thrice the rows."""
    inputs, outputs = init.fans(shape)
    return uniform((6 / (inputs + 3 * outputs)) ** 0.5)(rng, shape)
