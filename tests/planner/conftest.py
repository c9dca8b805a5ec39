"""What the planner's tests may ask for."""

from __future__ import annotations

from tests.browser import browser, picture

__all__ = ["browser", "picture"]
