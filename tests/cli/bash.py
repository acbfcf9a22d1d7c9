"""Runs lines of a shell as they are typed, by bash, with a `dlcli` that this process answers.

The `dlcli` on bash's path is a small client: it sends its words, its variables and its open files
here, where `main` is called with them. So an example has its pipes and redirections, and does not
pay for starting Python, importing and loading kernels each time. Calls are answered in turn: of two
in one pipe the first would wait for the second to read.
"""

import json
import os
import shlex
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

from dlcli.cli.main import main

CLIENT = """\
import json, os, socket, sys
ours, theirs = os.pipe()
asked = json.dumps([sys.argv[1:], dict(os.environ)]).encode()
with socket.socket(fileno=os.dup({number})) as line:
    socket.send_fds(line, [asked], [0, 1, 2, theirs])
os.close(theirs)
sys.exit(ord(os.read(ours, 1) or b"\\x01"))
"""
MOST = 1 << 20  # bytes of words and variables


def run(script):
    """Runs the lines up to the first that fails. Gives (exit code, stdout, stderr)."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with here, there, tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        _programs(Path(folder), there.fileno())
        out, err = (stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(2))
        shell = stack.enter_context(
            subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", script],
                env={**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"},
                pass_fds=[there.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        )
        there.close()  # so that what is received ends when bash does
        while _answer(here):
            pass
        code = shell.wait()
        return code, *(_whole(file) for file in (out, err))


def _programs(folder, number):
    """Writes `dlcli`, `python` and `python3` of this environment, whatever the path has."""
    (folder / "client").write_text(CLIENT.format(number=number))
    python = shlex.quote(sys.executable)
    client = shlex.quote(str(folder / "client"))
    words = {"dlcli": f"-IS {client}", "python": "", "python3": ""}
    for name, given in words.items():
        (folder / name).write_text(f'#!/bin/sh\nexec {python} {given} "$@"\n')
        (folder / name).chmod(0o755)


def _answer(line):
    """Does what the next client asks; whether there was one."""
    asked, files, _, _ = socket.recv_fds(line, MOST, 4)
    if not asked:
        return False
    words, variables = json.loads(asked)
    with ExitStack() as stack:
        modes = {"stdin": "r", "stdout": "w", "stderr": "w"}
        reply = stack.enter_context(open(files[3], "wb"))
        stack.enter_context(mock.patch.dict(os.environ, variables))
        for name, file in zip(modes, files, strict=False):
            stream = stack.enter_context(open(file, modes[name], encoding="utf-8"))
            stack.enter_context(mock.patch.object(sys, name, stream))
        reply.write(bytes([main(words)]))
    return True


def _whole(file):
    file.seek(0)
    return file.read()
