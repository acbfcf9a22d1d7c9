"""What the training loop knows of a model, of a batch and of whoever watches: protocols, no code.

A classifier has one phase. A GAN has several (discriminator, generator), each with a loss and the
parameters that it moves; the loop runs them in order in each step and needs no other change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # whoever only reads a run loads neither
    import numpy as np

    from dlcli.engine.tensor import Rows, Tensor


class Batch(Protocol):
    """x: (B, ...) float32 or ids int64. y: (B,) int64. indices: (B,) int64, positions in the
    split. inputs: all that the model takes, x first.
    """

    @property
    def x(self) -> np.ndarray | Rows: ...

    @property
    def y(self) -> np.ndarray: ...

    @property
    def indices(self) -> np.ndarray: ...

    @property
    def inputs(self) -> tuple[np.ndarray | Rows, ...]: ...


class Phase(Protocol):
    """One update of a step: the loss to lower, and the parameters that are moved for it. Those of
    other phases require no gradient meanwhile.

    It may have `every`, if it is due in every nth step only, beginning with the first; and
    `after()`, called when it has updated its parameters.
    """

    name: str
    parameters: dict[str, Tensor]

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar loss, a mean over the batch, and outputs such as {"logits": (B, K)}.

        In evaluation mode it is the loss that is reported: without label smoothing.
        """


class Model(Protocol):
    """What is trained.

    Whatever it carries from one step to the next (running statistics, the counters of its random
    numbers, recurrent states, a pool of images) is a buffer and hence part of `state_dict`:
    resuming needs nothing else. Where the extent of such a buffer is not known when the model is
    built, it has `hold(batch_size)`, called before training, and `adapt(shapes)`, called with the
    shapes by path of a checkpoint that is about to be restored. A model of several phases may have
    `shown`: short names for those figures that an epoch's line is to show; and, if one phase leaves
    something in memory for the next, `forget()`, called where a step is broken off. With `plan` a
    step is the same list of ops for all batches of one shape and of one mode: it may be recorded,
    and repeated without calling the model, on other values in the arrays of the batch. With
    `resident` besides, all that is done with a batch's x is to hand it to `on_device`, or to
    `made_on_host`, which fetches it: it may be rows of what lies there already.
    """

    def phases(self) -> list[Phase]:
        """In the order of a step. Names are distinct."""

    def forward(self, *inputs: Tensor) -> Tensor:
        """A batch's inputs to the model's output, for a classifier the logits (B, K)."""

    def measure(self, outputs: dict[str, Tensor], batch: Batch) -> dict[str, float]:
        """Sums over the batch, e.g. {"correct": 37.0}, which is averaged as "accuracy". Those by
        class, "hits/3", "true/3" and "said/3", come to "macro_f1".

        A model that counts "tokens", the words of sentences, gives the sum of their "loss" besides:
        all of its figures are means over them.
        """

    def named_parameters(self) -> dict[str, Tensor]:
        """Parameters by their path in the model."""

    def named_buffers(self) -> dict[str, Tensor]:
        """What is carried but not optimised, by its path in the model."""

    def state_dict(self) -> dict[str, np.ndarray]:
        """Parameters and buffers."""

    def load_state_dict(self, tensors: dict[str, np.ndarray]) -> None:
        """Copies what `state_dict` gave into the model."""

    def train(self, mode: bool = True) -> Any:
        """Training mode: dropout drops, batch norm uses the batch."""

    def eval(self) -> Any:
        """Evaluation mode."""


class Observer(Protocol):
    """Told what the loop does. Called in the loop's thread, so that `on_step` must be cheap."""

    def on_start(self, info: dict[str, Any]) -> None:
        """Before the first step.

        info: run (its path), step and epoch (where it begins, 0 unless resumed), epochs,
        steps_per_epoch, total_steps, train_images, val_images, batch_size, monitor,
        parameters (their number), warnings (a list of lines), samples (what they are, "images").
        """

    def on_step(self, step: int, loss: float, lr: float, images: int) -> None:
        """After each step. step: steps done in all. loss: of this step. images: in this step."""

    def on_epoch(self, record: dict[str, Any]) -> None:
        """After each validation, with the line that goes into metrics.jsonl."""

    def on_checkpoint(self, which: str, step: int) -> None:
        """A checkpoint is safely on disk. which: "best" or "last"."""

    def on_warning(self, line: str) -> None:
        """Something to know that does not stop the training: a step is skipped, a batch is cut."""

    def on_stop(self, summary: Any) -> None:
        """At the end, with the `Summary` that `fit` returns."""


class Quiet:
    """An observer that ignores everything; a base for those that want a part."""

    def on_start(self, info: dict[str, Any]) -> None:
        pass

    def on_step(self, step: int, loss: float, lr: float, images: int) -> None:
        pass

    def on_epoch(self, record: dict[str, Any]) -> None:
        pass

    def on_checkpoint(self, which: str, step: int) -> None:
        pass

    def on_warning(self, line: str) -> None:
        pass

    def on_stop(self, summary: Any) -> None:
        pass
