"""Token ids in, token ids out: sequences, blocks, scheduling, sampling, the step."""

from stillhouse.engine.constraints import TokenConstraint
from stillhouse.engine.engine import Engine
from stillhouse.engine.loop import EngineLoop
from stillhouse.engine.loops import LoopDetector, LoopGuard
from stillhouse.engine.request import FinishReason, Phase, Request, Score, TokenEvent
from stillhouse.engine.sampler import SamplingParams
from stillhouse.engine.scheduler import Admission
from stillhouse.engine.stats import EngineStats
from stillhouse.engine.streams import AsyncEventStream, EventStream
from stillhouse.engine.thinking import ThinkingEnd, ThinkingLimit

__all__ = [
    "Admission",
    "AsyncEventStream",
    "Engine",
    "EngineLoop",
    "EngineStats",
    "EventStream",
    "FinishReason",
    "LoopDetector",
    "LoopGuard",
    "Phase",
    "Request",
    "SamplingParams",
    "Score",
    "ThinkingEnd",
    "ThinkingLimit",
    "TokenConstraint",
    "TokenEvent",
]
