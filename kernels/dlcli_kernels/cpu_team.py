"""Threads at work on a program without Python: the loops that each of them runs, outside the GIL.

The words of a board say what there is to do. A caller writes a job down, opens it with a new ticket
and takes tasks as everybody does; a worker that sees the ticket joins, unless the job is closed by
then, and the caller waits for those who joined. So a worker that is late costs nothing.
"""

from __future__ import annotations

from .cpu_compile import kernel
from .cpu_native import (
    _add,
    _call,
    _load,
    _pause,
    _store,
    _yield,
    set_flush_to_zero,
    set_state,
)

# Words of a board, by their distance in bytes: each that threads write is on a cache line.
TICKET = 0  # of the last job
STATE = 64  # how many have joined, and CLOSED
DRAWN = 128  # tasks taken
DONE = 192  # of those who joined, how many have ended
HOW_MANY = 256  # tasks; then what does not change while a job is open
FIRST_TASK, TASKS, CALLS, OPERANDS = 264, 272, 280, 288
LISTED = 296  # whether a list of programs is under way
BASES = 320  # where operands begin
BOARD = BASES // 8 + 48  # words
CLOSED = 1 << 40

# Words of a thread.
SEEN, ASLEEP = 0, 64  # the last ticket; whether it waits where only Python can wake it
POSTED, FINISHED = 128, 192  # jobs of Python: the last for it, and the last it has ended
OWN_BASES = 256  # a copy, with its own scratch
THREAD = OWN_BASES // 8 + 48

DATA = 16  # bytes from an array's object to the word with its place: PyObject_HEAD, then `data`


@kernel
def _work(board, own):  # type: ignore[no-untyped-def]
    """Takes tasks of the job until none is left."""
    tasks, calls, how_many = _load(board + TASKS), _load(board + CALLS), _load(board + HOW_MANY)
    first, operands = _load(board + FIRST_TASK), _load(board + OPERANDS)
    for i in range(2, operands):
        _store(own + OWN_BASES + 8 * i, _load(board + BASES + 8 * i))
    while True:
        i = _add(board + DRAWN, 1)
        if i >= how_many:
            return
        task = tasks + 8 * (first + i)
        for c in range(_load(task), _load(task + 8)):
            _call(_load(calls + 16 * c), _load(calls + 16 * c + 8), own + OWN_BASES)


@kernel
def _find(board, operands):  # type: ignore[no-untyped-def]
    """Turns the addresses of arrays' objects into the places of their values."""
    for i in range(2, operands):
        held = _load(board + BASES + 8 * i)
        if held:
            _store(board + BASES + 8 * i, _load(held + DATA))


@kernel
def _run(board, own, program, shared, pauses):  # type: ignore[no-untyped-def]
    """Runs the stages of a program, whose operands' places are on the board."""
    stages = _load(program)
    _store(board + TASKS, _load(program + 16))
    _store(board + CALLS, _load(program + 24))
    _store(board + OPERANDS, _load(program + 32))
    for s in range(_load(program + 8)):
        how_many = _load(stages + 16 * s + 8)
        _store(board + FIRST_TASK, _load(stages + 16 * s))
        _store(board + HOW_MANY, how_many)
        _store(board + DRAWN, 0)
        if not shared or how_many < 2:
            _work(board, own)
            continue
        _store(board + DONE, 0)
        _store(board + STATE, 0)  # open
        _add(board + TICKET, 1)
        _work(board, own)
        joined = _add(board + STATE, CLOSED)
        waited = 0
        while _load(board + DONE) < joined:
            _pause()
            waited += 1
            if waited > pauses:
                _yield()


@kernel
def perform(board, own, program, shared, pauses):  # type: ignore[no-untyped-def]
    """Runs a program, with the others on the board where `shared`, denormals flushed to zero.

    program: the address of five words: the stages and how many, the tasks, the calls, the number of
    operands. The board's bases hold the addresses of the arrays' objects.
    """
    state = set_flush_to_zero()
    _find(board, _load(program + 32))
    _run(board, own, program, shared, pauses)
    set_state(state)


@kernel
def perform_all(board, own, items, how_many, shared, pauses):  # type: ignore[no-untyped-def]
    """Runs programs one after the other, as `perform` does.

    items: the address of a list of words: for each program its address, then the places of its
    operands from the second on.
    """
    state = set_flush_to_zero()
    _store(board + LISTED, 1)
    for _ in range(how_many):
        program = _load(items)
        operands = _load(program + 32)
        for i in range(2, operands):
            _store(board + BASES + 8 * i, _load(items + 8 * (i - 1)))
        _run(board, own, program, shared, pauses)
        items += 8 * (operands - 1)
    _store(board + LISTED, 0)
    set_state(state)


@kernel
def serve(board, own, ended, pauses, delay):  # type: ignore[no-untyped-def]
    """Works on jobs of the board until one of Python is posted: True, after another `delay` pauses.
    False: nothing has come for `pauses`, and the thread counts as asleep; not in the midst of a
    list.

    ended: the last job of Python that it has ended.
    """
    _store(own + FINISHED, ended)
    _store(own + ASLEEP, 0)
    waited = 0
    while True:
        if _load(own + POSTED) != ended:
            for _ in range(delay):
                _pause()
            return True
        ticket = _load(board + TICKET)
        if ticket != _load(own + SEEN):
            _store(own + SEEN, ticket)
            if _add(board + STATE, 1) < CLOSED:
                _work(board, own)
                _add(board + DONE, 1)
            _store(own + ASLEEP, 0)
            waited = 0
        elif waited < pauses:
            _pause()
            waited += 1
        elif _load(board + LISTED):  # nobody could wake it
            _yield()
        elif _add(own + ASLEEP, 1) > 0:  # said so before, and nothing has come since
            return False
