"""Where blocks lie that are not all in use at the same time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcli.engine.arena import CACHE_LINE, Arena, Block, lay_out, on_cache_lines


@st.composite
def blocks(draw):
    first = draw(st.integers(0, 20))
    return Block(draw(st.integers(0, 5000)), first, first + draw(st.integers(0, 8)))


def rounded(nbytes):
    return -(-nbytes // CACHE_LINE) * CACHE_LINE


@given(st.lists(blocks(), max_size=25))
def test_blocks_in_use_together_lie_apart_and_all_of_them_on_cache_lines(found):
    offsets, end = lay_out(found)
    for i, (block, offset) in enumerate(zip(found, offsets, strict=True)):
        assert offset % CACHE_LINE == 0
        assert offset >= 0
        assert offset + block.nbytes <= end
        for other, place in zip(found[:i], offsets[:i], strict=True):
            if block.first <= other.last and other.first <= block.last:
                assert offset + block.nbytes <= place or place + other.nbytes <= offset


@given(st.lists(blocks(), max_size=25))
def test_no_more_is_taken_than_by_all_and_no_less_than_by_those_in_use_at_once(found):
    _, end = lay_out(found)
    assert end <= sum(rounded(block.nbytes) for block in found)
    at_once = [
        sum(block.nbytes for block in found if block.first <= i <= block.last) for i in range(30)
    ]
    assert end >= max(at_once)


def test_blocks_that_follow_each_other_share_their_memory():
    _, end = lay_out([Block(640, i, i + 1) for i in range(50)])
    assert end == 2 * 640


def test_where_there_is_no_room_the_memory_of_before_stays():
    arena = Arena(on_cache_lines)
    arena.hold(100)
    arena.memory[:] = 7
    begin = arena.begin
    with pytest.raises(MemoryError):
        arena.hold(1 << 60)
    assert (arena.begin, len(arena.memory), arena.memory.sum()) == (begin, 100, 700)


def test_an_arena_grows_and_never_shrinks():
    arena = Arena(on_cache_lines)
    arena.hold(100)
    first = arena.begin
    arena.hold(50)
    assert arena.begin == first
    assert first % CACHE_LINE == 0
    arena.hold(1 << 20)
    assert len(arena.memory) == 1 << 20
