"""What the documentation says of commands, keys, settings and files is what is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import pytest
from typer.main import get_command

from exit_pipeline.cli.main import app
from exit_pipeline.profile.reference import keys_table, settings_table
from exit_pipeline.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
SETTINGS = {f"EXIT_{name.upper()}" for name in Settings.model_fields} | {"EXIT_TESTS"}
COMMANDS = get_command(app).commands
GROUPS = {name for name, found in COMMANDS.items() if hasattr(found, "commands")}
OF_PAGE = {"serving.md": ("serve",)}  # what a page is about needs no name beside each option


def test_every_key_of_a_profile_is_documented():
    assert keys_table() in (ROOT / "docs" / "profile.md").read_text("utf-8")
    assert not [line for line in keys_table().splitlines() if line.endswith("|  |")]


def test_every_setting_is_documented():
    assert settings_table() in (ROOT / "docs" / "settings.md").read_text("utf-8")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    heads = (re.sub(r"[^\w\- ]", "", head.lower()) for head in re.findall(r"^#+ (.+)$", text, re.M))
    return {head.replace(" ", "-") for head in heads}


@EVERY_PAGE
def test_links_lead_somewhere(page):
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", page.read_text("utf-8")):
        if target.startswith("https://"):
            continue
        file = page.parent / target if target else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), f"{target}#{anchor}"


@EVERY_PAGE
def test_every_setting_that_is_named_exists(page):
    assert set(re.findall(r"\bEXIT_[A-Z][A-Z_]*\b", page.read_text("utf-8"))) <= SETTINGS


def test_every_setting_that_a_deployment_makes_exists():
    files = [path for path in (ROOT / "deploy").iterdir() if path.is_file()]
    named = {name for file in files for name in re.findall(r"\bEXIT_\w+", file.read_text("utf-8"))}
    assert named
    assert named <= SETTINGS


def options(path: tuple[str, ...]) -> set[str]:
    """The options of a command; those of the application without one."""
    found = get_command(app)
    for name in path:
        found = found.commands[name]
    return {option for p in found.params for option in (*p.opts, *p.secondary_opts)} | {"--help"}


def blocks(page: Path) -> Iterator[list[str]]:
    """The code in each paragraph, item, row of a table and line of a listing."""
    listing = re.compile(r"^ *```\w*\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
    text = page.read_text("utf-8")
    for shown in listing.findall(text):
        yield from ([line] for line in shown.replace("\\\n", " ").splitlines())
    for block in re.split(r"\n(?=\s*\n|\||\s*- |\s*\d+\. )", listing.sub("", text)):
        yield [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", block)]


def calls(code: str) -> Iterator[tuple[tuple[str, ...], set[str]]]:
    """The commands in a piece of code with the options of each; options alone have none."""
    begun = [*re.finditer(r"(?:(?:or: )?exit-pipeline +|or: |^)(?=[a-z-])", code)]
    for this, after in zip_longest(begun, begun[1:]):
        call = code[this.end() : after.start() if after else None]
        words, given = call.split(), set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", call))
        if words[0].startswith("--"):
            yield (), given
        elif words[0] in COMMANDS or "exit-pipeline" in this[0]:
            yield tuple(words[: 2 if words[0] in GROUPS else 1]), given


@EVERY_PAGE
def test_every_option_is_one_of_the_command_that_it_is_named_with(page):
    for block in blocks(page):
        found = [call for code in block for call in calls(code)]
        named = {path for path, _ in found if path} or {OF_PAGE.get(page.name, ())}
        for path, given in found:
            known = set[str]().union(*map(options, {path} if path else named))
            assert given <= known, (named, given - known)


def test_every_command_is_in_the_readme():
    text = (ROOT / "README.md").read_text("utf-8")
    assert {name for name in COMMANDS if f"`{name}" not in text} == set()
