"""Great Expectations between the stages, as blocking checks."""

from __future__ import annotations

CHECKS: list = []
