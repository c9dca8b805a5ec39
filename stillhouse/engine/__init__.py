"""Token ids in, token ids out: sequences, blocks, scheduling, sampling, the step."""

from stillhouse.engine.engine import Engine
from stillhouse.engine.sampler import SamplingParams
from stillhouse.engine.sequence import FinishReason, Request, TokenEvent
from stillhouse.engine.thinking import ThinkingEnd, ThinkingLimit

__all__ = [
    "Engine",
    "FinishReason",
    "Request",
    "SamplingParams",
    "ThinkingEnd",
    "ThinkingLimit",
    "TokenEvent",
]
