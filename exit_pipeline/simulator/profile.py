"""The profile of a simulated log: the built-in one, with this log's days and sources."""

from __future__ import annotations

import re
import shutil
from datetime import timedelta
from pathlib import Path

from exit_pipeline.profile import load_profile
from exit_pipeline.profile.look import identifier
from exit_pipeline.simulator.config import SimulationConfig


def write_profile(config: SimulationConfig, folder: Path, log: str) -> None:
    """Writes `profile.yaml` and the adapters beside a log, so that it runs as it is.

    Args:
        config: What the log is made from.
        folder: Gets the files; the log lies in its parent.
        log: The log's name, which keeps its state apart from other logs'.
    """
    built_in = load_profile("simulated")
    shutil.copytree(built_in.file.parent, folder)
    last = config.start + timedelta(days=config.days - 1)
    text = built_in.text
    for key, value in (
        ("name", f"simulated_{identifier(log)}"[:40]),
        ("start", config.start),
        ("end", f"{last}\nlanding: {{path: ..}}"),
        ("sources", f"[{', '.join(config.source_names)}]"),
    ):
        text = re.sub(rf"(?m)^{key}: .*$", f"{key}: {value}", text)
    (folder / "profile.yaml").write_text(text, "utf-8")
