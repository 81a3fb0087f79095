"""What the default model comes to on a small log: the file that guards it, and how it is made.

`python -m tests.experiments.regression` measures it again; a change of the file is a decision.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np

from exit_pipeline.experiments.arena import fit_entry
from exit_pipeline.experiments.runs import Entry
from exit_pipeline.experiments.specs import WorldSpec
from exit_pipeline.settings import Settings, load_settings

FILE = Path(__file__).with_name("regression.json")
WORLD = WorldSpec("A", "demo", simulation={"days": 18, "users": 500})
METRICS = {
    "expected_auc": "all",
    "expected_logloss": "all",
    "spearman": "all",
    "ece": "all",
    "expected_auc where y_s = 1": "source interest",
}
RUNS, MEASURED = 2, 6


def figures(settings: Settings, seed: int) -> dict[str, float]:
    """Fits the default model with a seed; returns its figures by name."""
    entry = Entry("exit", "exit", WORLD, seed=seed, tuned=False)
    found = fit_entry(entry, settings).figures["evaluation"]
    return {name: found[where][name.split(" ")[0]] for name, where in METRICS.items()}


def main() -> None:
    """Measures mean and spread over seeds, and writes them down."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(home=Path(folder), threads=1)
        runs = [figures(settings, seed) for seed in range(MEASURED)]
    metrics = {
        name: {
            "expected": round(float(np.mean([run[name] for run in runs])), 5),
            # Three standard errors of a mean of RUNS, by the spread over seeds.
            "tolerance": round(float(3 * np.std([r[name] for r in runs], ddof=1) / RUNS**0.5), 5),
        }
        for name in METRICS
    }
    document = {"runs": RUNS, "seeds_measured": MEASURED, "metrics": metrics}
    FILE.write_text(json.dumps(document, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
