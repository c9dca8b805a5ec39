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
from stillhouse.catalog.entries import HubFiles, Model, PackageFiles, Sampling
from stillhouse.catalog.lookup import Found, find, models, sampling_for

__all__ = [
    "Device",
    "Found",
    "HubFiles",
    "Model",
    "NotAProduct",
    "PackageFiles",
    "Sampling",
    "Segment",
    "System",
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
