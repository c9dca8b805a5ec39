"""What became of each request, and what a whole cell of the table says: plain data, as in the JSON.

A cell is one model under one load: so many users at once, or so many requests a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Counted = Literal["usage", "chunks"]
"""Who counted a reply's thought and answer: the server's `usage`, or its pieces were counted."""

ErrorKind = Literal[
    "connect", "http_4xx", "http_5xx", "timeout", "broken_stream", "server", "other"
]
"""No connection; a refusal; silence for too long; a stream without an end; an error within one."""


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request as its client saw it. Seconds are the client's, from sending the request, but
    `started_s`, which is from the beginning of the cell. None: it has none, or nobody says.

    Of a failed request only `number`, `started_s`, `e2e_s` (until it failed), `error`, `message`.
    """

    number: int
    started_s: float
    e2e_s: float | None = None  # to the last token
    ttft_s: float | None = None  # to the first token of either kind
    ttfat_s: float | None = None  # to the first text of the answer
    tpot_s: float | None = None  # (e2e_s - ttft_s) / (tokens - 1)
    prompt_tokens: int = 0
    cached_tokens: int | None = None
    reasoning_tokens: int = 0
    answer_tokens: int = 0
    counted: Counted = "usage"
    finish_reason: str | None = None
    thinking_end: str | None = None
    error: ErrorKind | None = None
    message: str | None = None

    @property
    def output_tokens(self) -> int:
        return self.reasoning_tokens + self.answer_tokens


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over requests, in seconds. `count` requests had one."""

    count: int
    mean: float
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Cell:
    """One line of the table. Rates are over `duration_s`, from the first request's start to the
    last one's end; failed requests give no tokens and no seconds to anything, and are counted.
    None: not available, or nothing to say.
    """

    engine: str  # "stillhouse", or what the server calls itself: "llama.cpp", "vllm", "unknown"
    url: str | None  # None: in this process
    model: str
    quantization: str | None
    workload: str
    loop: Literal["closed", "open"]
    users: int | None  # at the same time, each asking again when answered; None in an open loop
    rate_per_s: float | None  # requests that arrive in an open loop; None in a closed one
    prompt_tokens: int | None  # asked for; None: as the prompts are
    output_tokens: int | None  # asked for; None: as long as the model likes
    requests: int  # completed
    duration_s: float
    requests_per_s: float
    output_tokens_per_s: float  # thoughts and answers, all users together
    total_tokens_per_s: float  # prompts too
    user_tokens_per_s: float | None  # what one user gets: 1 / median TPOT
    prefill_tokens_per_s: float | None  # while at least one request waits for its first token
    decode_tokens_per_s: float | None  # while at least one request is past it
    ttft_s: Spread | None
    ttfat_s: Spread | None
    tpot_s: Spread | None
    itl_s: Spread | None  # between pieces, all requests pooled; bursts of pieces are zeros
    e2e_s: Spread | None
    mean_prompt_tokens: float | None
    mean_reasoning_tokens: float | None
    mean_answer_tokens: float | None
    cached_share: float | None  # of prompt tokens, from a prefix cache
    truncated_share: float | None  # of completed requests that ran into max_tokens; None if fixed
    looped_share: float | None  # of completed requests that went in circles
    short_outputs: int  # of fixed-length requests, those that ended early
    errors: int
    error_kinds: Mapping[str, int]
    error_examples: tuple[str, ...]
    goodput_per_s: float | None  # requests that kept every promise of the SLO
    goodput_share: float | None  # of all requests, failed ones included
    peak_memory_bytes: int | None
    roofline_share: float | None  # of the least time that this machine's memory and products allow
    roofline_tokens_per_s: float | None  # output at that limit
    roofline_how: str | None  # the arithmetic, or why there is none
    speedup: float | None  # output tok/s over those of one user of the same model and workload
    peak_concurrency: int
    counted: Counted
    is_complete: bool  # False: stopped by Ctrl-C
    request_records: tuple[RequestRecord, ...]
    # Share of the unquantised model's score, as published for this quantisation, and by whom; None
    # where nobody has. `still eval` measures it.
    quality_recovery: float | None = None
    quality_source: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The same names and values, ready for `json.dumps`."""
        return asdict(self)

    @property
    def load(self) -> str:
        """`16 users`, `1 user`, `2.5 req/s`."""
        if self.users is None:
            return f"{self.rate_per_s:g} req/s"
        return f"{self.users} user" + ("" if self.users == 1 else "s")
