"""Facts as data: which models there are, where each is published, and how to sample them."""

from stillhouse.catalog.entries import HubFiles, Model, PackageFiles, Sampling
from stillhouse.catalog.lookup import Found, find, models, sampling_for

__all__ = [
    "Found",
    "HubFiles",
    "Model",
    "PackageFiles",
    "Sampling",
    "find",
    "models",
    "sampling_for",
]
