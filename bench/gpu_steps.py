"""A training step on the GPU, four ways in one process: ours called in every step and captured as a
graph, PyTorch's the same.

    python bench/gpu_steps.py cnn:128 [lstm:128 …]      JSON: milliseconds, ratios to ours captured

PyTorch's step reads nothing back; ours reads its loss and whether it was finite, as training does.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "kernels")]

WARM = 6  # steps: compiled, written down, captured


def ours(work: str, batch: int, *, plan: bool) -> Callable[[], object]:
    """Our step, ready to be repeated."""
    from steps_ours import training

    step = training(work, batch, plan=plan)
    for _ in range(WARM):
        step()
    return step


def theirs(work: str, batch: int) -> Callable[[], object]:
    """PyTorch's step as a user writes it, on the GPU."""
    import torch
    from steps_torch import step_of

    with torch.device("cuda"):
        return step_of(work, batch, 1, {})


def captured(work: str, batch: int) -> Callable[[], object]:
    """PyTorch's step as a CUDA graph: after its documentation, warm on a stream beside."""
    import torch
    from steps_torch import step_of

    with torch.device("cuda"):
        step = step_of(work, batch, 1, {"fused": True, "capturable": True})
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(WARM):
            step()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def compare(work: str, batch: int, repeats: int) -> dict[str, Any]:
    """Milliseconds of each form, and the ratio of its median to that of ours captured."""
    from dlcli_kernels.timing import DeviceClock, measure, ratio

    forms = {
        "dlcli": ours(work, batch, plan=True),
        "dlcli called": ours(work, batch, plan=False),
        "PyTorch called": theirs(work, batch),
        "PyTorch captured": captured(work, batch),
    }
    clock = DeviceClock.of_this_process()
    samples = measure(forms, repeats=repeats, min_time=20e-3, clock=clock)
    leads = {name: ratio(samples[name], samples["dlcli"]) for name in list(samples)[1:]}
    return {
        "work": work,
        "batch": batch,
        "milliseconds": {name: sample.median * 1e3 for name, sample in samples.items()},
        "ratios": {name: [lead.value, lead.low, lead.high] for name, lead in leads.items()},
    }


def main(names: list[str]) -> None:
    """A row of each work, in a list."""
    from dlcli.engine import executor

    executor.configure(1, "cuda")
    rows = []
    for name in names:
        work, _, batch = name.partition(":")
        rows.append(compare(work, int(batch), repeats=20))
    print(json.dumps(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
