"""What the documentation says of commands, keys and files is what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from exit_pipeline.cli.main import app
from exit_pipeline.profile.reference import keys_table

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_every_key_of_a_profile_is_documented():
    assert keys_table() in (ROOT / "docs" / "profile.md").read_text("utf-8")
    assert not [line for line in keys_table().splitlines() if line.endswith("|  |")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_every_command_is_in_the_readme_and_every_option_named_there_exists():
    commands = get_command(app).commands
    text = (ROOT / "README.md").read_text("utf-8")
    assert {name for name in commands if f"`{name}" not in text} == set()
    known = {option for c in commands.values() for p in c.params for option in p.opts}
    known |= {o for c in commands["profile"].commands.values() for p in c.params for o in p.opts}
    assert set(re.findall(r"(?<![-|])--[a-z][a-z-]+", text)) <= known
