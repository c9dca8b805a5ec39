"""How keys and values lie in a block of the paged cache.

A block holds 32 tokens of every KV head of one layer. Per head, keys lie with the tokens in the
lanes, so that scores need no sums across lanes; values lie as (32, head_dim).

As bf16 that is all: keys are (head_dim, 32). As q8_0, each token has a bf16 scale for every 32
dimensions, (head_dim / 32, 32), behind the codes of keys and of values. Keys' codes are unsigned
(128 more than they mean) and four dimensions share a lane, as byte dot products want:
(head_dim / 32, 2 halves of the tokens, 8 steps, 16 tokens, 4 dimensions). Values' are int8.
"""

from __future__ import annotations

BLOCK_TOKENS = 32
KV_KINDS = {"bf16": 0, "q8_0": 1}
"""Cache types, and their numbers in compiled kernels."""


def head_block_bytes(kv_type: str, head_dim: int) -> int:
    """Bytes of one block's keys (or values) of one KV head: 64 a dimension, or 34 for q8_0."""
    values = BLOCK_TOKENS * head_dim
    return values * 2 if kv_type == "bf16" else values + values // 32 * 2
