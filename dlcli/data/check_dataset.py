"""Checks a dataset that can be loaded: one that is known by name, or a table of one's own."""

from __future__ import annotations

import numpy as np

from dlcli.data import duplicates, views
from dlcli.data.check_files import Progress
from dlcli.data.dataset import Dataset
from dlcli.data.findings import Report, balance, doubles
from dlcli.data.image_facts import LEAST_SIDE, THUMB
from dlcli.errors import UsageError


def check(dataset: Dataset, *, looks: bool = True, progress: Progress) -> Report:
    """Looks at every sample of every part. looks: also for images that look alike.

    Memory: a hash of each sample, and a thumbnail of 256 bytes of each larger image. DataError: a
    sample cannot be read.
    """
    kind = dataset.kind
    counted = views.counts(dataset)
    report = Report(dataset.source, kind.name, kind.many, list(dataset.classes), counted)
    report.facts = {"shape": kind.describe(dataset.shape)}
    if dataset.classes:
        report.findings += balance(report.counts)
    try:
        view = views.of(kind)
    except UsageError:
        report.compared = "nothing"
        return report
    names: list[str] = []
    parts: list[str] = []
    labels: list[str] = []
    contents: list[bytes] = []
    thumbs: list[np.ndarray] = []
    total, every = report.samples, views.AT_ONCE
    large = looks and kind.name == "image" and min(dataset.shape[:2]) >= LEAST_SIDE
    for part, split in dataset.splits.items():
        for i, sample in enumerate(views.samples(split, view)):
            names.append(split.id(i))
            parts.append(part)
            labels.append(views.label(dataset, split, i))
            contents.append(view.content(sample))
            if large:
                thumbs.append(thumb(sample))
            if len(names) % every == 0:
                progress(len(names), total)
    same = duplicates.exact(contents)
    report.findings += doubles(same, names, parts, labels)
    if large:
        copies = {i for group in same for i in group[1:]}
        once = [None if i in copies else small for i, small in enumerate(thumbs)]
        alike, complete = duplicates.near_of(once)
        report.findings += doubles(alike, names, parts, labels, prefix="near-")
        report.compared = "content and looks" if complete else "content, and looks in part"
    return report


def thumb(pixels: np.ndarray) -> np.ndarray:
    """(H, W, C) uint8 as (THUMB, THUMB) uint8 of luma."""
    from PIL import Image

    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).convert("L")
    return np.array(picture.resize((THUMB, THUMB), Image.Resampling.BOX), np.uint8)
