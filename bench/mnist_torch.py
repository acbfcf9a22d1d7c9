"""What `dlcli train cnn --data mnist --epochs 1` does, as a PyTorch script: one epoch of training,
validation, the weights saved, the test part measured.

    python bench/mnist_torch.py FOLDER_OF_IDX_FILES OUT.pt [--tuned]
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

VALIDATION, BATCH = 5_000, 128


def idx(folder: Path, name: str) -> np.ndarray:
    """The array of an IDX file, packed or not."""
    path = folder / name
    raw = path.read_bytes() if path.exists() else gzip.decompress(Path(f"{path}.gz").read_bytes())
    shape = np.frombuffer(raw, ">i4", raw[3], 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def main() -> None:
    """Prints the accuracies."""
    folder, out, tuned = Path(sys.argv[1]), sys.argv[2], "--tuned" in sys.argv
    torch.manual_seed(0)
    torch.set_flush_denormal(tuned)
    layout = torch.channels_last if tuned else torch.contiguous_format
    x = torch.tensor(idx(folder, "train-images-idx3-ubyte"))[:, None]
    y = torch.tensor(idx(folder, "train-labels-idx1-ubyte")).long()
    order = torch.randperm(len(x))
    train, val = order[:-VALIDATION], order[-VALIDATION:]
    mean, std = (x[train].float() / 255).mean(), (x[train].float() / 255).std()

    def batches(images, labels, chosen):
        for some in chosen.split(BATCH):
            given = (images[some].float() / 255 - mean) / std
            yield given.contiguous(memory_format=layout), labels[some]

    net = nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(576, 64), nn.ReLU(), nn.Linear(64, 10)),
    ).to(memory_format=layout)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=tuned)
    for given, labels in batches(x, y, train):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(given), labels).backward()
        optimizer.step()

    def accuracy(images, labels, chosen):
        with torch.inference_mode():
            right = [(net(g).argmax(1) == t).sum() for g, t in batches(images, labels, chosen)]
        return float(sum(right)) / len(chosen)

    found = {"val": accuracy(x, y, val)}
    torch.save(net.state_dict(), out)
    x = torch.tensor(idx(folder, "t10k-images-idx3-ubyte"))[:, None]
    y = torch.tensor(idx(folder, "t10k-labels-idx1-ubyte")).long()
    found["test"] = accuracy(x, y, torch.arange(len(x)))
    print(found)


if __name__ == "__main__":
    main()
