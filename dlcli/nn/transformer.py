"""The encoder of a transformer (Vaswani et al. 2017): self-attention and a small network for each
step, each added to what it began with.
"""

from __future__ import annotations

from ..engine.tape import apply
from ..engine.tensor import Tensor
from .attention import MultiHeadAttention
from .dropout import Dropout
from .linear import Linear
from .module import Module
from .norm import LayerNorm


class TransformerEncoderLayer(Module):
    """One block: x (N, T, d_model) → the same shape.

        after (norm_first=False): x = norm1(x + attention(x)),  x = norm2(x + mlp(x))
        before (norm_first=True): x = x + attention(norm1(x)),  x = x + mlp(norm2(x))

    mlp(x) = linear2(activation(linear1(x))), linear1 with dim_feedforward units. dropout: of both
    branches and of the mlp's units; not of attention's weights, which are no array here and which
    PyTorch's block drops too. Norms before train deep stacks without warm-up (Xiong et al. 2020).
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        *,
        activation: str = "gelu",
        norm_first: bool = False,
        eps: float = 1e-5,
    ) -> None:
        self.self_attn = MultiHeadAttention(d_model, nhead)
        self.linear1 = Linear(d_model, dim_feedforward, act=activation)
        self.linear2 = Linear(dim_feedforward, d_model)
        self.norm1, self.norm2 = LayerNorm(d_model, eps=eps), LayerNorm(d_model, eps=eps)
        self.dropout, self.dropout1, self.dropout2 = (Dropout(dropout) for _ in range(3))
        self.norm_first = norm_first

    def forward(self, x: Tensor, lengths: Tensor | None = None, *, causal: bool = False) -> Tensor:
        """lengths: of the sequences (N,) int32; what stands past them is computed and not looked
        at. causal: step t sees the steps 0 … t.
        """
        if self.norm_first:
            x = apply("add", x, self.attend(self.norm1(x), lengths, causal))
            out: Tensor = apply("add", x, self.mlp(self.norm2(x)))
            return out
        x = self.norm1(apply("add", x, self.attend(x, lengths, causal)))
        out = self.norm2(apply("add", x, self.mlp(x)))
        return out

    def attend(self, x: Tensor, lengths: Tensor | None, causal: bool) -> Tensor:
        """The branch of attention."""
        found: Tensor = self.dropout1(self.self_attn(x, lengths=lengths, causal=causal))
        return found

    def mlp(self, x: Tensor) -> Tensor:
        """The branch of the small network."""
        found: Tensor = self.dropout2(self.linear2(self.dropout(self.linear1(x))))
        return found


class TransformerEncoder(Module):
    """`num_layers` blocks one after the other, and with norm_first a norm at the end."""

    def __init__(
        self,
        num_layers: int,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        *,
        activation: str = "gelu",
        norm_first: bool = False,
    ) -> None:
        if num_layers < 1:
            raise ValueError(f"TransformerEncoder: {num_layers} layers must be 1 or more")
        self.layers = [
            TransformerEncoderLayer(
                d_model,
                nhead,
                dim_feedforward,
                dropout,
                activation=activation,
                norm_first=norm_first,
            )
            for _ in range(num_layers)
        ]
        self.norm = LayerNorm(d_model) if norm_first else None

    def forward(self, x: Tensor, lengths: Tensor | None = None, *, causal: bool = False) -> Tensor:
        """(N, T, d_model) → the same shape; see `TransformerEncoderLayer`."""
        for layer in self.layers:
            x = layer(x, lengths, causal=causal)
        return x if self.norm is None else self.norm(x)
