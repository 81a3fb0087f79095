"""The page of all results, put together from what the studies left: `docs/results.md`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from exit_pipeline.experiments.studies import STUDIES
from exit_pipeline.files import write_text
from exit_pipeline.settings import load_settings

HEAD = """# Results

What the [studies](studies.md) came to, whatever they show, each with its command. A line's Δ is
paired with the reference of its place and has its 95 % interval; «expected» is by the planted
chance, which leaves out the luck of outcomes. Put together from the studies' reports by
`python -m exit_pipeline.experiments.page docs`.
"""


def write_page(studies: Path, docs: Path) -> list[str]:
    """Writes `results.md` and the plots beside it.

    Args:
        studies: Holds a folder per study.
        docs: Gets the page and `results/NAME.svg`.

    Returns:
        The studies that are on it, in the order that `experiment` lists them.
    """
    done = [name for name in STUDIES if (studies / name / "result.json").exists()]
    parts = [_words(docs / "results.md")]
    (docs / "results").mkdir(parents=True, exist_ok=True)
    for name in done:
        title, text = (studies / name / "table.md").read_text("utf-8").split("\n", 1)
        parts.append(f"## `{name}`: {title.removeprefix('# ')}\n{text}")
        parts.append(f"![{name}](results/{name}.svg)\n")
        shutil.copyfile(studies / name / "plot.svg", docs / "results" / f"{name}.svg")
    write_text(docs / "results.md", "\n".join(parts))
    return done


def _words(page: Path) -> str:
    """What stands before the first study: kept where there is a page, since people wrote it."""
    if not page.exists():
        return HEAD
    return page.read_text("utf-8").split("\n## `", 1)[0].rstrip() + "\n"


if __name__ == "__main__":
    home = load_settings().home.absolute()
    print(*write_page(home / "experiments" / "studies", Path(sys.argv[1])))
