"""Who holds which block of the KV cache, and which full blocks can be shared.

A block is held by any number of sequences, or it is unused: blank, or still filled with a known
prefix that a later request may pick up, until the space is needed (least recently used first).
Only full blocks are shared, and nobody writes to a full block, so that sharing needs no copies; a
fork of a sequence copies the one block that is not full, as it writes there in its next step.
This is bookkeeping by block number; the numbers in the cache itself belong to the model.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Key = bytes
ROOT: Key = b""


def block_key(parent: Key, token_ids: NDArray[np.int32]) -> Key:
    """Names a full block by all tokens up to its end: `parent` is the name of the block before it.

    Equal names mean equal prefixes: the digest has 128 bits, so not even chosen prompts collide.
    """
    return blake2b(token_ids.tobytes(), digest_size=16, key=parent).digest()


class BlockPool:
    """Hands out blocks 0 to `num_blocks` - 1.

    A reservation is a promise: after `reserve(n)` the next n calls of `allocate` succeed, whatever
    others do in between.
    """

    def __init__(self, num_blocks: int) -> None:
        self.num_blocks = num_blocks
        self.num_reserved = 0
        self._holders = [0] * num_blocks
        self._key_of: list[Key | None] = [None] * num_blocks
        self._block_of: dict[Key, int] = {}
        self._blank = list(range(num_blocks - 1, -1, -1))
        self._kept: OrderedDict[int, None] = OrderedDict()  # unused but filled, oldest first

    @property
    def num_unused(self) -> int:
        """Blocks that nobody holds, reserved ones among them."""
        return len(self._blank) + len(self._kept)

    @property
    def num_cached(self) -> int:
        """Blocks that nobody holds, but that a known prefix fills."""
        return len(self._kept)

    def find(self, keys: Iterable[Key]) -> list[int]:
        """Blocks of the longest known prefix; they stay as they are until `hold`."""
        blocks = []
        for key in keys:
            block = self._block_of.get(key)
            if block is None:
                break
            blocks.append(block)
        return blocks

    def can_hold_and_reserve(self, shared: Sequence[int], num_new: int) -> bool:
        """Whether these found blocks can be held and `num_new` more be promised."""
        revived = sum(self._holders[block] == 0 for block in shared)
        return revived + num_new <= self.num_unused - self.num_reserved

    def reserve(self, num_blocks: int) -> None:
        """Promises blocks for later; the caller has asked `can_hold_and_reserve`."""
        self.num_reserved += num_blocks
        assert self.num_reserved <= self.num_unused

    def unreserve(self, num_blocks: int) -> None:
        """Gives up promises that are no longer needed."""
        assert num_blocks <= self.num_reserved
        self.num_reserved -= num_blocks

    def hold(self, blocks: Iterable[int]) -> None:
        """Takes part in holding blocks that `find` gave, or that another sequence holds."""
        for block in blocks:
            if self._holders[block] == 0:
                del self._kept[block]
            self._holders[block] += 1

    def allocate(self) -> int:
        """One block with undefined content, out of the caller's reservation."""
        self.unreserve(1)
        if self._blank:
            block = self._blank.pop()
        else:
            block, _ = self._kept.popitem(last=False)
            self._forget(block)
        self._holders[block] = 1
        return block

    def publish(self, block: int, key: Key) -> None:
        """Declares a held block full with what `key` names. The first block of a name keeps it."""
        if key not in self._block_of:
            self._block_of[key] = block
            self._key_of[block] = key

    def release(self, blocks: Sequence[int]) -> None:
        """Stops holding blocks, given in order of position.

        Later blocks are let go first and so evicted first: a prefix without its end can be used,
        an end without its beginning cannot.
        """
        for block in reversed(blocks):
            self._holders[block] -= 1
            assert self._holders[block] >= 0
            if self._holders[block] == 0:
                if self._key_of[block] is None:
                    self._blank.append(block)
                else:
                    self._kept[block] = None

    def _forget(self, block: int) -> None:
        key = self._key_of[block]
        assert key is not None
        del self._block_of[key]
        self._key_of[block] = None
