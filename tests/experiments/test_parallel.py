"""Processes that do jobs beside each other."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from exit_pipeline.experiments.parallel import each
from exit_pipeline.settings import Settings, load_settings


def wait(folder: Path, settings: Settings) -> None:
    (folder / str(os.getpid())).touch()
    time.sleep(600)


def main(folder: str) -> None:
    list(each(wait, [Path(folder)] * 2, load_settings(threads=2)))


def test_who_does_jobs_ends_with_who_gave_them(tmp_path):
    code = f"from {__name__} import main; import sys; main(sys.argv[1])"
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    try:
        started = time.monotonic()
        while len(workers := [int(file.name) for file in tmp_path.iterdir()]) < 2:
            assert parent.poll() is None
            assert time.monotonic() < started + 120
            time.sleep(0.1)
    finally:
        parent.kill()
        parent.wait(10)
    processes = [psutil.Process(pid) for pid in workers if psutil.pid_exists(pid)]
    _, alive = psutil.wait_procs(processes, timeout=20)
    for one in alive:
        one.kill()
    assert not alive
