"""What a run says of samples that were left out because they cannot be read.

    RUN/left_out.json       {"count": n, "samples": [{"path", "class", "why"}]}
    RUN/quarantine/<class>/ copies of the files, with on_bad_sample = "quarantine"

The files themselves stay where they are.
"""

from __future__ import annotations

from pathlib import Path

from dlcli.data.bad_samples import Bad
from dlcli.data.dataset import Dataset
from dlcli.data.files import reading
from dlcli.errors import DataError
from dlcli.train import atomic, jsonfile
from dlcli.train.run import RunDir

LIST, FOLDER = "left_out.json", "quarantine"
MOST_BYTES = 256 << 20  # of a file that is copied, and of all together


def write(run: RunDir, dataset: Dataset, policy: str | None) -> Path | None:
    """Writes the list, and the copies if the policy is "quarantine"; the list, None without any.

    A file that is gone or too large is only listed. OutputError: writing failed.
    """
    left_out = dataset.left_out
    if not left_out:
        return None
    samples = [{"path": bad.path, "class": bad.label, "why": bad.why} for bad in left_out]
    document = {"count": len(left_out), "samples": samples}
    atomic.write_file(run.path / LIST, jsonfile.dumps(document))
    if policy == "quarantine":
        _copy(run, left_out)
    return run.path / LIST


def _copy(run: RunDir, left_out: tuple[Bad, ...]) -> None:
    room = MOST_BYTES
    for bad in left_out:
        try:
            with reading(Path(bad.path)) as file:
                data = file.read(room + 1)
        except DataError:
            continue  # gone, or not to be opened: the list has it
        if len(data) > room:
            continue
        room -= len(data)
        name = Path(bad.path)
        folder = atomic.make_folder(run.path / FOLDER / name.parent.name)
        target, number = folder / name.name, 1
        while target.exists():  # of another part
            number += 1
            target = folder / f"{name.stem}-{number}{name.suffix}"
        atomic.write_file(target, data)
