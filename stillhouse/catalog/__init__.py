"""Facts as data: models, their shapes and files, devices, and what has been claimed of both."""

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
from stillhouse.catalog.efficiencies import Efficiency, efficiencies, efficiency_for
from stillhouse.catalog.entries import Conversion, HubFiles, Model, PackageFiles, Sampling, Scores
from stillhouse.catalog.fits import FitClaim, SizeClaim, Verdict, fit_claims, size_claims
from stillhouse.catalog.lookup import Found, find, models, sampling_for
from stillhouse.catalog.quality import Recovery, TextFit, recoveries, recovery_for, text_fits
from stillhouse.catalog.shapes import Experts, LatentAttention, Shape, TokenizerBytes
from stillhouse.catalog.speeds import Speed, published_speeds
from stillhouse.catalog.workloads import BenchLoad, bench_loads, find_bench_load

__all__ = [
    "BenchLoad",
    "Conversion",
    "Device",
    "Efficiency",
    "Experts",
    "FitClaim",
    "Found",
    "HubFiles",
    "LatentAttention",
    "Model",
    "NotAProduct",
    "PackageFiles",
    "Recovery",
    "Sampling",
    "Scores",
    "Segment",
    "Shape",
    "SizeClaim",
    "Speed",
    "System",
    "TextFit",
    "TokenizerBytes",
    "Vendor",
    "Verdict",
    "WholeSystem",
    "bench_loads",
    "efficiencies",
    "efficiency_for",
    "find",
    "find_bench_load",
    "find_device",
    "fit_claims",
    "known_devices",
    "models",
    "not_products",
    "published_speeds",
    "recoveries",
    "recovery_for",
    "sampling_for",
    "size_claims",
    "text_fits",
    "whole_systems",
]
