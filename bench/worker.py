"""A process of `models.py`: prepares a step, and does it as often as a line on its input says.

Every form has a process of its own, so that neither its threads nor its allocator meets another's.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "kernels")]

FREE = {  # glibc keeps what is freed: page faults cost up to half of a step
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
}


def main() -> None:
    """Answers each line "steps" with the seconds of a step, the processor's seconds, and MiB."""
    asked = json.loads(sys.argv[1])
    if asked["by"] == "ours":
        from steps_ours import step_of

        step = step_of(asked["work"], asked["batch"], asked["threads"], asked["optimizer"])
    else:
        from steps_torch import step_of as step_of_torch

        step = step_of_torch(asked["work"], asked["batch"], asked["threads"], asked["form"])
    for _ in range(6):  # compiled, written down, made a plan of
        step()
    gc.disable()
    print("ready", flush=True)
    for line in sys.stdin:
        many = int(line)
        begun, busy = time.perf_counter(), time.process_time()
        for _ in range(many):
            step()
        seconds, used = time.perf_counter() - begun, time.process_time() - busy
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps([seconds / many, used / many, peak]), flush=True)


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(__file__))
    main()
