"""Faults for the tests of what is written: calls that fail or die at the k-th time."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CALLS = ("open", "write", "fsync", "rename", "replace", "mkdir", "unlink", "rmdir", "ftruncate")


class Killed(BaseException):
    """The process died: nothing that it does afterwards has an effect."""


class Faults:
    """Counts the calls that touch the disk; the one numbered `at` fails or kills."""

    def __init__(self, at: int = -1, how: str = "") -> None:
        self.at, self.how, self.count, self.dead = at, how, 0, False

    def wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def faulty(*args: Any, **kwargs: Any) -> Any:
            if self.dead:
                raise Killed
            self.count += 1
            if self.count - 1 != self.at:
                return call(*args, **kwargs)
            if name == "write":
                call(args[0], bytes(args[1])[: len(args[1]) // 2])  # half of it got there
            if self.how == "kill":
                self.dead = True
                raise Killed
            raise OSError(errno.ENOSPC, "No space left on device")

        return faulty


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here loses power, and a real fsync takes milliseconds; it is still counted."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`with faults(at=3, how="kill") as f:`: the fourth call to the disk is the process's last."""

    @contextmanager
    def injected(at: int = -1, how: str = "") -> Iterator[Faults]:
        found = Faults(at, how)
        with monkeypatch.context() as patch:
            for name in CALLS:
                patch.setattr(os, name, found.wrap(name, getattr(os, name)))
            yield found

    return injected


@pytest.fixture
def killed() -> type[BaseException]:
    """What a call that kills raises."""
    return Killed
