"""Signals during training: the handler sets a flag, the loop acts at the next step.

SIGINT (Ctrl-C), SIGTERM (kill, a batch system) and SIGHUP (the terminal was closed).
"""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from dlcli.errors import DlcliError

HEEDED = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


class Interrupted(DlcliError):  # a request, not an error
    """A signal stopped the run. `exit_code` is 128 + its number: 130, 143 or 129."""

    def __init__(self, signum: int, *, why: str = "", hint: str = "") -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}", why=why, hint=hint)
        self.signum, self.exit_code = signum, 128 + signum


class Signals:
    """While entered, notes the first of these signals in `received`.

    A SIGINT after that raises `Interrupted` at once, wherever the program is: files are written
    so that they survive that. A signal that was ignored before (nohup, a job in the background)
    stays ignored. Outside the main thread, where Python allows no handlers, nothing is done.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def pending(self) -> bool:
        """Whether there is one."""
        return self.received is not None

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for signum in HEEDED:
                if signal.getsignal(signum) is not signal.SIG_IGN:
                    self._before[signum] = signal.signal(signum, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
        self._before.clear()

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received = signum
        elif signum == signal.SIGINT:
            raise Interrupted(signum, why="asked twice: what was saved before is intact")
