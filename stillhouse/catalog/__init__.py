"""Facts as data: models and where they are published, devices, and what has been claimed of both."""

from stillhouse.catalog.device_lookup import find_device
from stillhouse.catalog.devices import (
    Device,
    NotAProduct,
    Segment,
    System,
    Vendor,
    WholeSystem,
    devices,
    not_products,
    whole_systems,
)
from stillhouse.catalog.entries import Conversion, HubFiles, Model, PackageFiles, Sampling, Scores
from stillhouse.catalog.lookup import Found, find, models, sampling_for
from stillhouse.catalog.shapes import Experts, LatentAttention, Shape, TokenizerBytes

__all__ = [
    "Conversion",
    "Device",
    "Experts",
    "Found",
    "HubFiles",
    "LatentAttention",
    "Model",
    "NotAProduct",
    "PackageFiles",
    "Sampling",
    "Scores",
    "Segment",
    "Shape",
    "System",
    "TokenizerBytes",
    "Vendor",
    "WholeSystem",
    "devices",
    "find",
    "find_device",
    "models",
    "not_products",
    "sampling_for",
    "whole_systems",
]
