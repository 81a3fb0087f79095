"""The page of all results, put together from what the studies left: `docs/results.md`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from exit_pipeline.experiments.studies import STUDIES
from exit_pipeline.files import write_text
from exit_pipeline.settings import load_settings

NAMES = ("tuning", *STUDIES, "loop")
HEAD = """# Results

What the [studies](studies.md) came to, whatever they show, each with its command; parts of a study
stand after the whole of it. A line's Δ is paired with the reference of its place and has its 95 %
interval; «expected» is by the planted chance, which leaves out the luck of outcomes. Put together
from the studies' reports by `python -m exit_pipeline.experiments.page docs`.
"""


def write_page(studies: Path, docs: Path) -> list[str]:
    """Writes `results.md` and the plots beside it.

    Args:
        studies: Holds a folder per study, and per part of one.
        docs: Gets the page and a plot `results/FOLDER.svg` each.

    Returns:
        The folders on it: studies in the order that `experiment` lists them, each before its parts,
        behind `tuning` and before `loop`, which have no plot.
    """
    done = [(name, folder) for name in NAMES for folder in _folders(studies, name)]
    parts = [_words(docs / "results.md")]
    (docs / "results").mkdir(parents=True, exist_ok=True)
    for name, folder in done:
        title, text = (folder / "table.md").read_text("utf-8").split("\n", 1)
        parts.append(f"## `{name}`: {title.removeprefix('# ')}\n{text}")
        if (folder / "plot.svg").exists():
            parts.append(f"![{folder.name}](results/{folder.name}.svg)\n")
            shutil.copyfile(folder / "plot.svg", docs / "results" / f"{folder.name}.svg")
    write_text(docs / "results.md", "\n".join(parts))
    return [folder.name for _, folder in done]


def _folders(studies: Path, name: str) -> list[Path]:
    """The reports of a study and its parts; a quick one's figures say nothing."""
    whole, parts = (studies.glob(f"{name}{end}/result.json") for end in ("", "-*"))
    kept = (file for file in parts if not file.parent.name.startswith(f"{name}-quick"))
    return [file.parent for file in (*whole, *sorted(kept))]


def _words(page: Path) -> str:
    """What stands before the first study: kept where there is a page, since people wrote it."""
    if not page.exists():
        return HEAD
    return page.read_text("utf-8").split("\n## `", 1)[0].rstrip() + "\n"


if __name__ == "__main__":
    home = load_settings().home.absolute()
    print(*write_page(home / "experiments" / "studies", Path(sys.argv[1])))
