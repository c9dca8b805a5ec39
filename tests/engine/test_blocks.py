"""Blocks are shared while held, kept while there is room, and never lost."""

from __future__ import annotations

import numpy as np

from stillhouse.engine.blocks import ROOT, BlockPool, block_key


def _take(pool: BlockPool, count: int) -> list[int]:
    pool.reserve(count)
    return [pool.allocate() for _ in range(count)]


def _key(*token_ids: int, parent: bytes = ROOT) -> bytes:
    return block_key(parent, np.array(token_ids, np.int32))


def test_a_name_depends_on_all_tokens_before_it() -> None:
    first = _key(1, 2)
    assert _key(3, 4, parent=first) == _key(3, 4, parent=_key(1, 2))
    assert _key(3, 4, parent=first) != _key(3, 4, parent=_key(1, 3))
    assert _key(3, 4, parent=first) != _key(3, 4)


def test_only_the_longest_known_prefix_is_found() -> None:
    pool = BlockPool(4)
    blocks = _take(pool, 3)
    keys = [_key(n) for n in range(3)]
    pool.publish(blocks[0], keys[0])
    pool.publish(blocks[2], keys[2])
    assert pool.find(keys) == [blocks[0]]


def test_released_blocks_are_found_until_their_space_is_needed() -> None:
    pool = BlockPool(2)
    (block,) = _take(pool, 1)
    pool.publish(block, _key(1))
    pool.release([block])
    assert pool.find([_key(1)]) == [block]
    _take(pool, 1)
    assert pool.find([_key(1)]) == [block]  # a blank block went first
    _take(pool, 1)
    assert pool.find([_key(1)]) == []


def test_the_end_of_the_least_recently_used_prefix_goes_first() -> None:
    pool = BlockPool(4)
    keys = [_key(n) for n in range(4)]
    old, new = _take(pool, 2), _take(pool, 2)
    for block, key in zip(old + new, keys, strict=True):
        pool.publish(block, key)
    pool.release(new)
    pool.release(old)
    pool.hold(pool.find(keys[2:]))  # used again, so now the more recent
    pool.release(new)
    order = [pool.allocate() for _ in range(4) if not pool.reserve(1)]
    assert order == [old[1], old[0], new[1], new[0]]


def test_a_shared_block_is_unused_only_when_the_last_holder_leaves() -> None:
    pool = BlockPool(1)
    (block,) = _take(pool, 1)
    pool.publish(block, _key(1))
    pool.hold([block])
    pool.release([block])
    assert pool.num_unused == 0
    pool.release([block])
    assert pool.num_unused == 1


def test_reserved_blocks_are_not_promised_twice_nor_are_blocks_about_to_be_shared() -> None:
    pool = BlockPool(3)
    (block,) = _take(pool, 1)
    pool.publish(block, _key(1))
    pool.release([block])
    pool.reserve(1)
    assert pool.can_hold_and_reserve([block], 1)
    assert not pool.can_hold_and_reserve([block], 2)
    pool.unreserve(1)
    assert pool.can_hold_and_reserve([block], 2)


def test_the_same_content_computed_twice_is_kept_once() -> None:
    pool = BlockPool(2)
    first, second = _take(pool, 2)
    pool.publish(first, _key(1))
    pool.publish(second, _key(1))
    pool.release([second])
    pool.release([first])
    assert pool.find([_key(1)]) == [first]
    assert _take(pool, 1) == [second]  # blank, since nobody can find it
