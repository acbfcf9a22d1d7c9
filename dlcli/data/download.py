"""One file from a server that may misbehave, to a name under which only the right bytes appear.

Bytes go to <name>.part, are counted against a bound, hashed, and renamed. A download that stops is
taken up again where it stopped, now or by the next call; a server that does not know how begins
anew. Failures that may pass (a 5xx, a broken connection, silence) are tried again after a while,
others go on with the next address. HTTPS never becomes HTTP, and nothing but the two is followed.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from dlcli.data.sources import Remote
from dlcli.errors import NetworkError, OutputError

OFFLINE = "DLCLI_OFFLINE"
TRIES = 4  # of an address
FIRST_WAIT, MOST_WAIT = 1.0, 60.0  # seconds between tries; each is twice the one before
SILENCE = 30.0  # seconds without a byte
MOST_REDIRECTS = 5
CHUNK = 1 << 16
PASSING = {408, 425, 429, 500, 502, 503, 504}  # what a server says that may be otherwise later
Progress = Callable[[int, int], object]  # (bytes so far, of how many or 0)


class Passing(Exception):
    """A failure that may pass. after: seconds that the server asks to wait."""

    def __init__(self, why: str, after: float = 0.0) -> None:
        super().__init__(why)
        self.why, self.after = why, after


class Lasting(Exception):
    """A failure of this address that will not pass. why: in words."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def fetch(
    remote: Remote,
    target: Path,
    *,
    progress: Progress = lambda done, total: None,
    wait: Callable[[float], object] = time.sleep,
) -> None:
    """Downloads `remote` to `target`, whose folder exists; nothing is done if it is there already
    with the right hash. wait(seconds): between tries.

    NetworkError: no address gave the right bytes; a <name>.part that may be taken up again is left.
    OutputError: it cannot be written, or another file of the name is there.
    """
    if os.path.lexists(target):
        if _digest(target, remote.algorithm) == remote.digest:
            return
        raise OutputError(
            f"{target}: is there, and is another file",
            why=f"its {remote.algorithm} is not {remote.digest[:16]}…",
            hint="move it away",
        )
    part = target.with_name(f"{target.name}.part")
    if os.environ.get(OFFLINE):
        why = f"{OFFLINE} is set"
        raise NetworkError(f"{remote.name}: is not here", why=why, hint=f"put it into {target}")
    failures = []
    for url in remote.urls:
        failure = _try(url, remote, part, progress, wait)
        if failure is None:
            with _writing(target):
                os.replace(part, target)
            return
        failures.append(f"{urlsplit(url).hostname}: {failure}")
    hint = "run it again: what is here is not loaded again" if part.exists() else ""
    raise NetworkError(f"{remote.name}: was not downloaded", why="; ".join(failures), hint=hint)


def _try(
    url: str, remote: Remote, part: Path, progress: Progress, wait: Callable[[float], object]
) -> str | None:
    """None if `part` holds the right bytes now, else why not."""
    pause, asked, why = FIRST_WAIT, 0.0, ""
    for number in range(TRIES):
        if number:
            wait(min(max(pause, asked), MOST_WAIT))
            pause, asked = 2 * pause, 0.0
        fresh = not part.exists()
        try:
            _receive(url, remote, part, progress)
        except Passing as failure:
            why, asked = failure.why, failure.after
            continue
        except Lasting as failure:
            return failure.why
        if _digest(part, remote.algorithm) == remote.digest:
            return None
        why = f"wrong {remote.algorithm}: not the file that was published"
        with _writing(part):
            part.unlink()
        if fresh:  # else the beginning may have been of another file
            return why
    return why


def _receive(url: str, remote: Remote, part: Path, progress: Progress) -> None:
    """Adds what is missing to `part`, up to the end that the server says."""
    most = remote.most if remote.size is None else remote.size
    have = part.stat().st_size if part.exists() else 0
    if have > most or (remote.size is not None and have == remote.size):
        return  # the hash decides
    headers = {"User-Agent": "dlcli", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with _answer(url, headers) as answer:
        if answer.status == 416:  # there is nothing after what is here
            return
        goes_on = answer.status == 206 and _begins(answer) == have
        if answer.status == 206 and not goes_on:
            with _writing(part):
                part.unlink()
            raise Passing("the server sent another range than was asked for")
        have = have if goes_on else 0
        length = answer.length
        if length is not None and have + length > most:
            raise Lasting(f"it has {have + length:,} bytes, at most {most:,} are taken")
        end = None if length is None else have + length
        with _writing(part), open(part, "ab" if goes_on else "wb") as file:
            for chunk in _chunks(answer):
                have += len(chunk)
                if have > most:
                    file.close()
                    part.unlink()
                    raise Lasting(f"it sends more than {most:,} bytes")
                file.write(chunk)
                progress(have, end or remote.size or 0)
            file.flush()
            os.fsync(file.fileno())
    if have < (end or remote.size or 0):
        raise Passing(f"it ended after {have:,} of {end or remote.size:,} bytes")


def _begins(answer: Any) -> int:
    """The first byte of a partial answer, −1 if it does not say."""
    said = answer.headers.get("Content-Range", "")
    first = said.removeprefix("bytes ").split("-")[0]
    return int(first) if first.isdecimal() else -1


def _chunks(answer: IO[bytes]) -> Iterator[bytes]:
    try:
        while chunk := answer.read(CHUNK):
            yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise Passing(f"the connection broke: {_reason(error)}") from error


@contextmanager
def _answer(url: str, headers: dict[str, str]) -> Iterator[Any]:
    """The server's answer, of status 200, 206 or 416."""
    try:
        answer = _opener().open(urllib.request.Request(url, headers=headers), timeout=SILENCE)
    except urllib.error.HTTPError as error:
        if error.code in PASSING:
            said = error.headers.get("Retry-After", "")
            after = float(said) if said.isdecimal() else 0.0
            error.close()
            raise Passing(f"it says {error.code} {error.reason}", after) from error
        if error.code == 416:
            answer = error
        else:
            error.close()
            raise Lasting(f"it says {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise Passing(f"no connection: {_reason(error.reason)}") from error
    except (OSError, http.client.HTTPException) as error:
        raise Passing(f"the connection broke: {_reason(error)}") from error
    with answer:
        yield answer


def _reason(error: object) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a few, to the same scheme or from HTTP to HTTPS."""

    max_redirections = MOST_REDIRECTS
    max_repeats = 2

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        scheme = urlsplit(newurl).scheme
        if scheme != "https" and not (scheme == "http" and req.type == "http"):
            fp.close()
            raise Lasting(f"it points to {newurl[:80]}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """HTTP and HTTPS and nothing else: no files, no FTP."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


def _digest(path: Path, algorithm: str) -> str:
    """Of a file, in hexadecimal; "" if there is none."""
    made = hashlib.new(algorithm, usedforsecurity=False)
    with suppress(FileNotFoundError), _writing(path), open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            made.update(chunk)
        return made.hexdigest()
    return ""


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turns an OSError of the disk into an OutputError that names the file."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        why = error.strerror or str(error)
        raise OutputError(f"{path}: cannot be written", why=why) from error
