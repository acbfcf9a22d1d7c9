"""Files and folders that appear under their name complete or not at all, power loss included.

Bytes go to a temporary name in the same folder, are fsynced, renamed, and the folder is fsynced
(Pillai et al., "All file systems are not created equal", OSDI 2014, shows that no step of these
may be left out). An OSError becomes an OutputError (exit 9); what was there before is intact.
"""

from __future__ import annotations

from pathlib import Path


def write_file(path: Path, data: bytes) -> None:
    """Replaces the file `path` by `data`, all or nothing. OutputError: writing failed."""
    raise NotImplementedError
