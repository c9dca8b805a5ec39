"""Where Stillhouse keeps what it can fetch or make again: models and compiled kernels."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

ENVIRONMENT_VARIABLE = "STILLHOUSE_HOME"


def home(environment: Mapping[str, str] | None = None) -> Path:
    """Where models and compiled kernels are: STILLHOUSE_HOME, or in the platform's cache folder."""
    variables = os.environ if environment is None else environment
    if chosen := variables.get(ENVIRONMENT_VARIABLE):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = Path(variables.get("LOCALAPPDATA", str(Path.home() / "AppData" / "Local")))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(variables.get("XDG_CACHE_HOME", str(Path.home() / ".cache")))
    return base / "stillhouse"
