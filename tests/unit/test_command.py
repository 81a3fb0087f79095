"""How the command ends: an exit code, and with `--json` one object whatever went wrong."""

from __future__ import annotations

import json
import sys

import pytest

from exit_pipeline.cli import main, status


def ended(monkeypatch, capsys, *words: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    monkeypatch.setattr(sys, "argv", ["exit-pipeline", *words])
    code = main._run()
    return code, *capsys.readouterr()


@pytest.mark.parametrize(("words", "error"), [
    (["labels", "--json"], "Missing option"),
    (["simulate", "--out", "x", "--days", "two", "--json"], "Invalid value for '--days'"),
    (["status", "--jsn", "--json"], "No such option: --jsn"),
    (["nosuch", "--json"], "No such command 'nosuch'"),
])  # fmt: skip
def test_wrong_use(monkeypatch, capsys, words, error):
    code, out, err = ended(monkeypatch, capsys, *words)
    told = json.loads(out)
    assert (code, set(told)) == (2, {"error", "where", "mend"})
    assert error in told["error"]
    assert error in err
    code, out, err = ended(monkeypatch, capsys, *words[:-1])
    assert (code, out, error in err) == (2, "", True)


@pytest.mark.parametrize(("raised", "code", "error"), [
    (KeyboardInterrupt(), 130, "interrupted"),
    (ValueError("of 3 parts"), 1, "ValueError: of 3 parts"),
    (PermissionError(13, "Permission denied", "/x"), 1, "Permission denied"),
])  # fmt: skip
def test_what_nobody_foresaw(monkeypatch, capsys, raised, code, error):
    def fail(*_):
        raise raised

    monkeypatch.setattr(status, "open_profile", fail)
    found, out, err = ended(monkeypatch, capsys, "status", "--json")
    assert (found, json.loads(out)["error"]) == (code, error)
    assert ("Traceback" in err) == isinstance(raised, ValueError)


def test_what_goes_well(monkeypatch, capsys):
    assert ended(monkeypatch, capsys, "--version")[0] == 0
    code, out, _ = ended(monkeypatch, capsys, "profile", "check", "simulated", "--json")
    assert (code, json.loads(out)["ok"]) == (0, True)
    assert ended(monkeypatch, capsys)[:2] == (2, "")
