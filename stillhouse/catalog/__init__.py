"""Facts as data: which models there are, of what shape, where each is published, how to sample it,
and what quantisation costs."""

from stillhouse.catalog.entries import Conversion, HubFiles, Model, PackageFiles, Sampling, Scores
from stillhouse.catalog.lookup import Found, find, models, sampling_for
from stillhouse.catalog.quality import (
    Recovery,
    TextFit,
    recoveries,
    recovery_for,
    text_fits,
)
from stillhouse.catalog.shapes import Experts, LatentAttention, Shape, TokenizerBytes

__all__ = [
    "Conversion",
    "Experts",
    "Found",
    "HubFiles",
    "LatentAttention",
    "Model",
    "PackageFiles",
    "Recovery",
    "Sampling",
    "Scores",
    "Shape",
    "TextFit",
    "TokenizerBytes",
    "find",
    "models",
    "recoveries",
    "recovery_for",
    "sampling_for",
    "text_fits",
]
