"""Downloads from a server in this process that misbehaves: the right bytes arrive, or none do."""

import hashlib
import http.server
import threading
from contextlib import contextmanager

import pytest

from dlcli.data import download
from dlcli.data.download import fetch
from dlcli.data.sources import SOURCES, Remote
from dlcli.errors import NetworkError, OutputError

CONTENT = bytes(range(256)) * 800  # 204,800 bytes
HALF = len(CONTENT) // 2


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as the next of `server.script` says, the last one for ever."""

    protocol_version = "HTTP/1.0"

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Range")))
        script = self.server.script
        (script.pop(0) if len(script) > 1 else script[0])(self)

    def log_message(self, *arguments):
        pass

    def first(self):
        asked = self.headers.get("Range")
        return int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0

    def send(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)


def well(request, content=CONTENT):
    first = request.first()
    if first >= len(content):
        request.send(416, Content_Length=0)
    elif first:
        body = content[first:]
        span = f"bytes {first}-{len(content) - 1}/{len(content)}"
        request.send(206, body, Content_Length=len(body), Content_Range=span)
    else:
        request.send(200, content, Content_Length=len(content))


def cut(request):
    body = CONTENT[request.first() :]
    span = f"bytes {request.first()}-{len(CONTENT) - 1}/{len(CONTENT)}"
    status = 206 if request.first() else 200
    sent = body[: min(HALF, len(body) - 1)]
    request.send(status, sent, Content_Length=len(body), Content_Range=span)


def no_ranges(request):
    request.send(200, CONTENT, Content_Length=len(CONTENT))


def wrong_range(request):
    if not request.first():
        return cut(request)
    return request.send(206, CONTENT, Content_Range=f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}")


def error(status, **headers):
    return lambda request: request.send(status, b"sorry", Content_Length=5, **headers)


def other(request):
    well(request, CONTENT[::-1])


def endless(request):
    request.send(200)
    try:
        while True:
            request.wfile.write(CONTENT)
    except OSError:
        request.close_connection = True


def longer(request):
    request.send(200, CONTENT, Content_Length=10**12)


def redirect(to):
    return lambda request: request.send(302, Location=to, Content_Length=0)


def hang_up(request):
    request.close_connection = True
    request.connection.close()


@contextmanager
def serving(*script):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.script, server.asked = list(script), []
    server.handle_error = lambda *arguments: None
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def address(server):
    return f"http://127.0.0.1:{server.server_address[1]}/file.bin"


def remote_of(*servers, content=CONTENT, size=None, **how):
    urls = tuple(address(server) for server in servers)
    digest = hashlib.sha256(content).hexdigest()
    return Remote("file.bin", urls, "sha256", digest, size, **{"most": 1 << 20, **how})


@pytest.fixture
def target(tmp_path):
    return tmp_path / "file.bin"


@pytest.fixture
def pauses(monkeypatch):
    monkeypatch.delenv(download.OFFLINE, raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return []


def get(remote, target, pauses):
    fetch(remote, target, wait=pauses.append)


def test_the_bytes_arrive_under_their_name_with_their_progress(target, pauses):
    said = []
    with serving(well) as server:
        fetch(remote_of(server), target, progress=lambda *at: said.append(at), wait=pauses.append)
    assert target.read_bytes() == CONTENT
    assert said[-1] == (len(CONTENT), len(CONTENT))
    assert [path.name for path in target.parent.iterdir()] == ["file.bin"]
    assert pauses == []


def test_what_is_here_is_not_asked_for_again(target, pauses):
    target.write_bytes(CONTENT)
    with serving(well) as server:
        get(remote_of(server), target, pauses)
        assert server.asked == []


def test_another_file_of_the_name_is_left_alone(target, pauses):
    target.write_bytes(b"mine")
    with serving(well) as server, pytest.raises(OutputError, match="is another file"):
        get(remote_of(server), target, pauses)
    assert target.read_bytes() == b"mine"


@pytest.mark.parametrize(
    "script",
    [
        (cut, well),
        (cut, no_ranges),
        (wrong_range, wrong_range, well),
        (error(500), error(503), well),
        (error(429), well),
        (hang_up, well),
        (cut, hang_up, error(502), well),
    ],
    ids=["resumed", "no ranges", "wrong range", "5xx", "429", "hangs up", "all of it"],
)
@pytest.mark.parametrize("size", [None, len(CONTENT)], ids=["size unknown", "size known"])
def test_failures_that_pass_are_tried_again_after_a_while(target, pauses, script, size):
    with serving(*script) as server:
        get(remote_of(server, size=size), target, pauses)
    assert target.read_bytes() == CONTENT
    assert pauses == [2.0**n for n in range(len(pauses))]
    assert len(pauses) >= 1


def test_it_goes_on_where_it_stopped(target, pauses):
    with serving(cut, well) as server:
        get(remote_of(server), target, pauses)
        assert [span for _, span in server.asked] == [None, f"bytes={HALF}-"]


def test_the_next_call_goes_on_too(target, pauses):
    with serving(cut, error(404)) as server, pytest.raises(NetworkError) as caught:
        get(remote_of(server), target, pauses)
    assert "run it again" in caught.value.hint
    assert target.with_name("file.bin.part").read_bytes() == CONTENT[:HALF]
    with serving(well) as server:
        get(remote_of(server), target, pauses)
        assert server.asked == [("/file.bin", f"bytes={HALF}-")]
    assert target.read_bytes() == CONTENT


def test_a_beginning_of_another_file_is_thrown_away(target, pauses):
    part = target.with_name("file.bin.part")
    for stale in (b"x" * 1000, b"x" * len(CONTENT), b"x" * (2 << 20)):
        part.write_bytes(stale)
        target.unlink(missing_ok=True)
        with serving(well) as server:
            get(remote_of(server), target, pauses)
        assert target.read_bytes() == CONTENT
        assert not part.exists()


def test_the_pause_is_what_the_server_asks_for_up_to_a_minute(target, pauses):
    with serving(error(503, Retry_After=7), error(503, Retry_After=9999), well) as server:
        get(remote_of(server), target, pauses)
    assert pauses == [7.0, download.MOST_WAIT]


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (error(404), "404"),
        (error(403), "403"),
        (error(500), "500"),
        (other, "wrong sha256"),
        (endless, "sends more than"),
        (longer, "at most 1,048,576 are taken"),
        (redirect("file:///etc/passwd"), "not allowed"),
        (redirect("ftp://127.0.0.1/x"), "not followed"),
        (redirect("/file.bin"), "302"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_server_that_never_gives_the_file_is_told_and_nothing_appears(target, pauses, act, words):
    with serving(act) as server, pytest.raises(NetworkError) as caught:
        get(remote_of(server), target, pauses)
    assert words in caught.value.why
    assert caught.value.exit_code == 10
    assert len(pauses) < download.TRIES
    assert not target.exists()
    assert list(target.parent.iterdir()) == []


def test_a_second_address_is_taken_where_the_first_one_fails(target, pauses):
    with serving(error(404)) as first, serving(other) as second, serving(well) as third:
        get(remote_of(first, second, third), target, pauses)
    assert target.read_bytes() == CONTENT
    assert pauses == []


def test_a_redirect_is_followed(target, pauses):
    with serving(well) as there, serving(redirect(address(there))) as here:
        get(remote_of(here), target, pauses)
    assert target.read_bytes() == CONTENT


def test_https_never_becomes_http():
    handler = download._Redirects()
    request = download.urllib.request.Request("https://example.org/a")

    class Closed:
        def close(self):
            pass

    with pytest.raises(download.Lasting, match="not followed"):
        handler.redirect_request(request, Closed(), 302, "", {}, "http://example.org/a")
    again = handler.redirect_request(request, Closed(), 302, "", {}, "https://example.org/b")
    assert again.full_url == "https://example.org/b"


def test_silence_ends(target, pauses, monkeypatch):
    monkeypatch.setattr(download, "SILENCE", 0.05)
    done = threading.Event()

    def silent(request):
        done.wait(5)

    with serving(silent) as server:
        with pytest.raises(NetworkError, match="was not downloaded"):
            get(remote_of(server), target, pauses)
        done.set()
    assert pauses == [1.0, 2.0, 4.0]


def test_offline_nothing_is_asked_for_and_the_place_is_told(target, pauses, monkeypatch):
    monkeypatch.setenv(download.OFFLINE, "1")
    with serving(well) as server:
        with pytest.raises(NetworkError) as caught:
            get(remote_of(server), target, pauses)
        assert server.asked == []
    assert str(target) in caught.value.hint


def test_a_full_disk_is_told_and_the_name_stays_free(target, pauses, monkeypatch):
    monkeypatch.setattr(download.os, "fsync", _full)
    with serving(well) as server, pytest.raises(OutputError, match="cannot be written"):
        get(remote_of(server), target, pauses)
    assert not target.exists()


def _full(descriptor):
    raise OSError(28, "No space left on device")


def test_every_source_is_pinned_and_encrypted():
    for remotes in SOURCES.values():
        for remote in remotes:
            assert len(remote.digest) == {"sha256": 64, "md5": 32}[remote.algorithm]
            assert all(url.startswith("https://") for url in remote.urls)
            assert remote.size is None or remote.size <= remote.most
