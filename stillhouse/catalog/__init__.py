"""Facts as data: which models there are, where each is published, and how to sample them."""

from stillhouse.catalog.entries import Conversion, HubFiles, Model, PackageFiles, Sampling, Scores
from stillhouse.catalog.lookup import Found, find, models, sampling_for
from stillhouse.catalog.shapes import Experts, LatentAttention, Shape, TokenizerBytes

__all__ = [
    "Conversion",
    "Experts",
    "Found",
    "HubFiles",
    "LatentAttention",
    "Model",
    "PackageFiles",
    "Sampling",
    "Scores",
    "Shape",
    "TokenizerBytes",
    "find",
    "models",
    "sampling_for",
]
