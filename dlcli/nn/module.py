"""Module: parameters, buffers and sub-modules found among its attributes, named by their paths.

Paths are as in PyTorch (`0.weight`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..engine.tensor import Tensor, on_device, zeros
from . import init


class Parameter(Tensor):
    """A tensor that is trained.

    `fill` (see `init`) gives its first values when the module is initialised.
    """

    __slots__ = ("fill", "frozen")

    def __init__(self, shape: tuple[int, ...], fill: init.Fill, dtype: Any = np.float32) -> None:
        super().__init__(zeros(shape, dtype).data, requires_grad=True)
        self.fill = fill
        self.frozen = False  # see `Module.freeze`


class Buffer(Tensor):
    """A tensor that is part of the state but not trained: running statistics, a random stream's
    counter. `values`, of the host, are what it begins with.

    learned: it belongs to the weights and goes with them to another model. averaged: so it does to
    an average of them.
    """

    __slots__ = ("averaged",)
    learned = False

    def __init__(self, values: np.ndarray) -> None:
        super().__init__(on_device(values).data)
        self.averaged = False


class Learned(Buffer):
    """A buffer that means nothing without the weights, such as an average of them."""

    __slots__ = ()
    learned = True


class Statistic(Learned):
    """What a layer saw of its inputs under the weights, such as their mean: it may be averaged."""

    __slots__ = ()

    def __init__(self, values: np.ndarray) -> None:
        super().__init__(values)
        self.averaged = True


class Module:
    """A layer or a model. Subclasses set attributes in `__init__` and implement `forward`."""

    training = True
    plan = False  # whether a step is the same list of ops for all batches of a shape

    def forward(self, *inputs: Any, **options: Any) -> Any:
        raise NotImplementedError

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        out = self.forward(*inputs, **options)
        if _observer is not None:
            shown = out[0] if isinstance(out, tuple) else out  # a layer may return states too
            if isinstance(shown, Tensor):
                _observer(self, shown)
        return out

    def children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly below, by attribute name; those in a list by `name.index`."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value
            elif isinstance(value, (list, tuple)):
                for i, item in enumerate(value):
                    if isinstance(item, Module):
                        yield f"{name}.{i}", item

    def modules(self, path: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it, with their paths, in order of definition."""
        yield path, self
        for name, child in self.children():
            yield from child.modules(f"{path}.{name}" if path else name)

    def _named(self, kind: type[Tensor]) -> dict[str, Any]:
        found: dict[str, Tensor] = {}
        for path, module in self.modules():
            for name, value in vars(module).items():
                if isinstance(value, kind):
                    found[f"{path}.{name}" if path else name] = value
        return found

    def named_parameters(self) -> dict[str, Parameter]:
        """Every parameter by path."""
        return self._named(Parameter)

    def named_buffers(self) -> dict[str, Buffer]:
        """Every buffer by path."""
        return self._named(Buffer)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers by path."""
        state = {**self.named_parameters(), **self.named_buffers()}
        return {name: tensor.numpy() for name, tensor in state.items()}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Copies `state` into place.

        ValueError, with every difference, if names, shapes or dtypes do not fit; nothing is
        changed then.
        """
        own: dict[str, Tensor] = {**self.named_parameters(), **self.named_buffers()}
        wrong = [f"missing {name}" for name in own if name not in state]
        wrong += [f"unexpected {name}" for name in state if name not in own]
        for name in own.keys() & state.keys():
            here, there = own[name], state[name]
            if here.shape != there.shape or here.dtype != there.dtype:
                wrong.append(
                    f"{name} is {there.shape} {there.dtype}, not {here.shape} {here.dtype}"
                )
        if wrong:
            raise ValueError("; ".join(sorted(wrong)))
        for name, tensor in own.items():
            tensor.write(state[name])

    def initialize(self, seed: int) -> None:
        """Fills every parameter from its own random stream, named by its path, and seeds the
        modules that draw (dropout). The values are made on the host: the same bits on any device.
        """
        for name, parameter in self.named_parameters().items():
            parameter.write(parameter.fill(init.stream(seed, name), parameter.shape))
        for path, module in self.modules():
            module.seed(seed, path)

    def seed(self, seed: int, path: str) -> None:
        """Starts the module's random stream; most have none."""

    def freeze(self, names: Collection[str]) -> None:
        """These parameters are not trained from now on: they require no gradient, and batch norm
        all of whose parameters are among them goes by its running statistics and keeps them.
        """
        for name, parameter in self.named_parameters().items():
            if name in names:
                parameter.frozen, parameter.requires_grad = True, False
        for _, module in self.modules():
            if getattr(module, "frozen", False):
                for value in vars(module).values():
                    if isinstance(value, Statistic):
                        value.averaged = False  # it stays as it is, to the last bit

    def train(self, mode: bool = True) -> Module:
        """Training mode (dropout drops, batch norm uses the batch's statistics), or not."""
        for _, module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """The mode for evaluation and prediction."""
        return self.train(False)

    def astype(self, dtype: Any) -> Module:
        """Converts parameters and floating buffers. Before an optimiser has laid them out."""
        for tensor in {**self.named_parameters(), **self.named_buffers()}.values():
            if np.issubdtype(tensor.dtype, np.floating):
                tensor.data = on_device(tensor.numpy().astype(dtype)).data
        return self


class Sequential(Module):
    """Modules one after the other."""

    def __init__(self, *layers: Module) -> None:
        self.layers = list(layers)

    def children(self) -> Iterator[tuple[str, Module]]:
        for i, layer in enumerate(self.layers):
            yield str(i), layer

    def forward(self, *inputs: Tensor) -> Any:
        (x,) = inputs
        for layer in self.layers:
            x = layer(x)
        return x


_observer: Callable[[Module, Tensor], None] | None = None


@contextmanager
def observe(tell: Callable[[Module, Tensor], None]) -> Iterator[None]:
    """Calls `tell(module, output)` after every forward: how a summary learns the shapes."""
    global _observer
    before, _observer = _observer, tell
    try:
        yield
    finally:
        _observer = before
