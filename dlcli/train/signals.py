"""SIGINT and SIGTERM during training: the handler sets a flag, the loop acts at the next step."""

from __future__ import annotations

import signal

from dlcli.errors import DlcliError


class Interrupted(DlcliError):
    """A signal stopped the run. `exit_code` is 128 + its number: 130 or 143."""

    def __init__(self, signum: int, *, why: str = "", hint: str = "") -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}", why=why, hint=hint)
        self.signum, self.exit_code = signum, 128 + signum
