"""Runs ranges on two threads that take turns at every line of a variant, so that a race shows.

Two free threads meet in a bad order once in a thousand runs. Here each one stops before every line
of a file `cpu_*.py` (or of the file under test) and lets the other execute a line: whatever a
kernel keeps in a place that both reach is overwritten between two of its lines, each time the same.
Only Python lines are interleaved: a compiled kernel is one step. Where the other thread waits for
something that this one holds, a lock of an import or of a library, the turns end, and both run on.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PATIENCE = 10.0  # seconds that a thread waits for its turn


def _is_kernel_file(filename: str, under_test: str) -> bool:
    return filename == under_test or Path(filename).name.startswith("cpu_")


def _compiles(frame: Any) -> bool:
    """Whether Numba's compiler runs this frame, itself or as the body of an overload.

    It holds a lock, for which the other thread would wait while this one waits for its turn.
    """
    while frame is not None:
        if str(frame.f_globals.get("__name__")).startswith("numba."):
            return True
        frame = frame.f_back
    return False


def lockstep(
    under_test: str, patience: float = PATIENCE
) -> Callable[[Callable[[int], None], int], None]:
    """A runner for `Launch.run`: even ranges on one thread, odd ones on the other.

    under_test: a file besides `cpu_*.py` whose lines are interleaved. patience: seconds until the
    turns end because one thread blocks the other. An exception in a range is raised in the caller.
    """

    def run(task: Callable[[int], None], count: int) -> None:
        turns = (threading.Semaphore(1), threading.Semaphore(0))  # whoever holds a turn runs
        alive, errors, stuck = [True, True], [], threading.Event()

        def follow(me: int) -> Callable[..., Any]:
            def at_line(frame: Any, event: str, arg: Any) -> Any:
                if event == "line" and alive[1 - me] and not stuck.is_set():
                    turns[1 - me].release()
                    if not turns[me].acquire(timeout=patience):
                        stuck.set()
                return at_line

            def at_call(frame: Any, event: str, arg: Any) -> Any:
                traced = _is_kernel_file(frame.f_code.co_filename, under_test)
                return at_line if traced and not _compiles(frame) else None

            return at_call

        def work(me: int) -> None:
            turns[me].acquire()
            sys.settrace(follow(me))
            try:
                with np.errstate(all="ignore"):
                    for i in range(me, count, 2):
                        task(i)
            except BaseException as error:  # carried to the caller, which raises it
                errors.append(error)
            finally:
                sys.settrace(None)
                alive[me] = False
                turns[1 - me].release()

        threads = [threading.Thread(target=work, args=(me,), name="lockstep") for me in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

    return run
