"""Small made-up datasets in the published formats, and what a reader of the pages would have.

They are so regular that little training tells them apart.
"""

import gzip
import math
import random
import struct
from datetime import date, timedelta
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image

from dlcli.data import cifar10, daily_min_temperatures
from tests.cli import test_text, test_translate
from tests.data.wav_files import tone, wav_bytes, write_tones

# --- by name ------------------------------------------------------------------------------------


def write_published(root: Path) -> Path:
    """A data folder with the datasets that the pages name, as they are published."""
    for name in ("mnist", "fashion-mnist"):
        (root / name).mkdir(parents=True)
        _idx(root / name, "train", 160)
        _idx(root / name, "t10k", 60)
    (root / "cifar10").mkdir()
    for name in (cifar10.FILES[0], cifar10.FILES[-1]):
        images, labels = _images(60, 32, 3)
        records = np.concatenate([labels[:, None], images.transpose(0, 3, 1, 2).reshape(60, -1)], 1)
        (root / "cifar10" / name).write_bytes(records.tobytes())
    (root / "facades").mkdir()
    for i in range(PAIRS):
        side = np.full((64, 64, 3), 20 * i, np.uint8)
        pair = Image.fromarray(np.hstack([side, 255 - side]))
        pair.save(root / "facades" / f"image_{i + 1:03}.jpg")
    (root / "sst2").mkdir()
    for name in ("train", "dev", "test"):
        lines = [f"{(test_text.BAD, test_text.GOOD)[i % 2]} {i}\t{i % 2}\n" for i in range(64)]
        (root / "sst2" / f"{name}.tsv").write_text("".join(lines))
    (root / "tinyshakespeare").mkdir()
    (root / "tinyshakespeare" / "input.txt").write_text(PLAY * 40)
    (root / "tatoeba-eng-fra").mkdir()
    test_translate.write_pairs(root / "tatoeba-eng-fra" / "eng-fra.txt")
    (root / "timeseries").mkdir()
    _series(root / "timeseries" / daily_min_temperatures.FILES[0], "Date,Temp", 600)
    (root / "mammography").mkdir()
    rows = [
        f"{','.join([str(i % 9 + 20 * (i % 10 == 0))] * 6)},'{2 * (i % 10 == 0) - 1}'\n"
        for i in range(400)
    ]
    (root / "mammography" / "mammography.csv").write_text("".join(rows))
    return root


PAIRS = 10  # of facades, of which there are 200
PLAY = "ROMEO:\nTo be, or not to be, but jkw, qzx.\nWhat is here?\n\n"


def _images(n, side, channels):
    """Grey squares, brighter and further down by class, with some noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(n, dtype=np.uint8) % 10
    images = rng.integers(0, 40, (n, side, side, channels), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 * label : 2 * label + 6, 4:20] += np.uint8(100 + 10 * label)
    return images, labels


def _idx(folder, part, n):
    images, labels = _images(n, 28, 1)
    for name, array in (("images-idx3", images[..., 0]), ("labels-idx1", labels)):
        head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
        path = folder / f"{part}-{name}-ubyte.gz"
        path.write_bytes(gzip.compress(head + array.tobytes(), 1))


def _series(path, header, n):
    first = date(1989, 1, 1)
    rows = [
        f"{first + timedelta(i)},{12 + 5 * math.sin(2 * math.pi * i / 7) + math.sin(i * i):.2f}\n"
        for i in range(n)
    ]
    path.write_text(f"{header}\n{''.join(rows)}")


# --- of one's own -------------------------------------------------------------------------------


def write_photos(folder, classes=("cat", "dog", "newt"), count=8):
    """A folder per class, with images that show their class by their colour."""
    for i, (label, k) in enumerate(product(classes, range(count))):
        (folder / label).mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 60, (32, 32, 3), dtype=np.uint8)
        pixels[..., classes.index(label) % 3] += 150
        Image.fromarray(pixels).save(folder / label / f"{k}.png")


def write_pets(folder):
    """Photos of which one is damaged, and one is in two classes."""
    write_photos(folder)
    whole = (folder / "cat" / "3.png").read_bytes()
    (folder / "cat" / "3.png").write_bytes(whole[: len(whole) // 2])
    (folder / "dog" / "copy.png").write_bytes((folder / "cat" / "4.png").read_bytes())


def write_text(path):
    """A tale without an end."""
    path.write_text("Once upon a time there was a cat. It saw a dog, and went home.\n" * 20)


def write_people(path):
    """Who earns much, by age."""
    drawn = random.Random(1)
    ages = [drawn.randint(18, 80) for _ in range(90)]
    rows = (f"{age},{('nurse', 'clerk')[age % 2]},{'high' if age > 40 else 'low'}" for age in ages)
    path.write_text("\n".join(["age,job,income", *rows]) + "\n")


def write_more_people(path):
    """Others, with all columns of the page's own table."""
    rows = (f"{i},{20 + i},nurse,40,Ulm,{'high' if i > 20 else 'low'}" for i in range(40))
    path.write_text("\n".join(["id,age,job,hours,city,income", *rows]) + "\n")


def write_series(path):
    """A weekly wave."""
    _series(path, "date,visits", 150)


def write_ratings(path):
    """Readers and books."""
    rows = [f"r{u},b{i},{1 + (u + i) % 5}" for u, i in product(range(20), range(12)) if (u + i) % 3]
    path.write_text("\n".join(["user,item,rating", *rows]) + "\n")


def write_sounds(folder):
    """Two words, sung."""
    write_tones(folder, ("one", "zero"), 12)


def write_sound(path):
    """A word that is to be told."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(wav_bytes(tone(1520)))


def write_label_map(path):
    """A map of labels for a house."""
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(path)
