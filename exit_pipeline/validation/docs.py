"""Data Docs: a site per table, and a page that leads to them."""

from __future__ import annotations

import html
import os
import shutil
from pathlib import Path
from typing import Any

from exit_pipeline.errors import LakeError
from exit_pipeline.files import beside, write_text
from exit_pipeline.lock import exclusive
from exit_pipeline.settings import Home

LOCK_SECONDS = 60.0
PAGE = """<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Data Docs</title>
<style>body {{ font: 16px/1.6 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto }}</style>
<h1>Data Docs</h1>
<p>What each table must hold, and whether it did when it was last validated.</p>
<ul>{links}</ul>
"""


def write_docs(context: Any, table: str, home: Home) -> str:
    """Writes the Data Docs of one table's last validation; returns the page's path.

    Raises:
        LakeError: Another run has been writing them for long.
    """
    root = home.reports / "data_docs"
    partial = beside(root / table)
    shutil.rmtree(partial, ignore_errors=True)
    context.add_data_docs_site(
        "local",
        {
            "class_name": "SiteBuilder",
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            "store_backend": {
                "class_name": "TupleFilesystemStoreBackend",
                "base_directory": str(partial),
            },
        },
    )
    context.build_data_docs(site_names=["local"])
    busy = LakeError(
        f"another run has been writing Data Docs for {LOCK_SECONDS:.0f} s",
        where=str(root),
        mend="wait for that run to end, then validate again",
    )
    # A folder cannot take the place of one that has files: nobody may come in between.
    try:
        with exclusive(root / ".lock", LOCK_SECONDS, busy):
            shutil.rmtree(root / table, ignore_errors=True)
            os.replace(partial, root / table)
            _write_index(root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return str(root / table / "index.html")


def _write_index(root: Path) -> None:
    tables = sorted(page.parent.name for page in root.glob("*/index.html"))
    shown = (name for name in tables if not name.startswith("."))
    links = "".join(
        f'<li><a href="{html.escape(t)}/index.html">{html.escape(t)}</a>' for t in shown
    )
    write_text(root / "index.html", PAGE.format(links=links))
