"""Facts as data: models and their files, devices, and what has been claimed of both."""

from stillhouse.catalog.device_lookup import find_device
from stillhouse.catalog.devices import (
    Device,
    NotAProduct,
    Segment,
    System,
    Vendor,
    WholeSystem,
    known_devices,
    not_products,
    whole_systems,
)
from stillhouse.catalog.entries import HubFiles, Model, PackageFiles, Sampling
from stillhouse.catalog.fits import FitClaim, SizeClaim, Verdict, fit_claims, size_claims
from stillhouse.catalog.lookup import Found, find, models, sampling_for
from stillhouse.catalog.speeds import Speed, published_speeds

__all__ = [
    "Device",
    "FitClaim",
    "Found",
    "HubFiles",
    "Model",
    "NotAProduct",
    "PackageFiles",
    "Sampling",
    "Segment",
    "SizeClaim",
    "Speed",
    "System",
    "Vendor",
    "Verdict",
    "WholeSystem",
    "find",
    "find_device",
    "fit_claims",
    "known_devices",
    "models",
    "not_products",
    "published_speeds",
    "sampling_for",
    "size_claims",
    "whole_systems",
]
