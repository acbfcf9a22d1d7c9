"""A folder of images with a folder per class, `FOLDER/<class>/<image>`, or below FOLDER/train,
FOLDER/val and FOLDER/test; see class_folder.py. Decoding and its limits: see image.py.
"""

from collections.abc import Callable
from pathlib import Path

from dlcli.data import class_folder
from dlcli.data.bad_samples import Bad, check_policy, sift
from dlcli.data.dataset import Dataset, Part, Subset, fingerprint
from dlcli.data.image import SUFFIXES
from dlcli.data.image_facts import verify
from dlcli.data.store import ImageStore, common_shape
from dlcli.errors import UsageError

RECIPE: dict[str, object] = {"epochs": 10, "batch_size": 32}
MAX_SIDE = 2048
IMAGES = class_folder.Sought("image", "images", SUFFIXES)


def load(
    root: Path,
    *,
    seed: int = 0,
    image_size: int | None = None,
    grayscale: bool = False,
    on_bad_sample: str = "error",
    find: Callable[..., class_folder.Found] = class_folder.find,
) -> Dataset:
    """The folder as a dataset; pixels are decoded when they are asked for.

    seed: of the parts that must be cut. image_size: side of the square, in pixels, that images
    become; by default the images' own size if all are equal and no side is above 128, else a
    square of the median side or 128. grayscale: one channel instead of three.
    on_bad_sample: what becomes of files that cannot be decoded, see `bad_samples`. find: how the
    files are found, with their classes.

    DataError: the layout is another, fewer than two classes, a class with too few images, a
    file that cannot be listed, or too many that cannot be decoded. UsageError: `image_size` is not
    in 1 … 2048, `on_bad_sample` is none of its values.
    """
    check_policy(on_bad_sample)
    if image_size is not None and not 1 <= image_size <= MAX_SIDE:
        raise UsageError(f"the image size is {image_size}", why=f"it must be 1 … {MAX_SIDE} pixels")
    found = find(root, IMAGES, seed=seed)
    left_out: list[Bad] = []
    if on_bad_sample != "error":
        found, left_out = sift(root, found, verify)
    channels = 1 if grayscale else 3
    if image_size is not None:
        shape = (image_size, image_size, channels)
    else:
        shape = (*common_shape([root / path for path in found.paths]), channels)
    store = ImageStore(root, found.paths, found.sizes, found.labels, shape)
    splits: dict[str, Part] = {
        part: Subset(store, found.rows[part]) for part in ("train", "val", "test")
    }
    return Dataset(
        name=root.absolute().name or "images",
        classes=found.classes,
        shape=shape,
        splits=dict(splits),
        recipe=dict(RECIPE),
        fingerprint=fingerprint(found.classes, shape, splits),
        source=str(root),
        left_out=tuple(left_out),
    )
