"""The installed script: exit codes, streams, --debug."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(sys.executable).with_name("deconvnet")


def script(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, check=False)


def test_an_error_is_one_sentence(tmp_path):
    done = script("layers", "zfnt")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("deconvnet: there is no network 'zfnt': did you mean zfnet")
    assert done.stderr.count("\n") == 1


def test_debug_shows_the_traceback():
    done = script("layers", "zfnt", "--debug")
    assert done.returncode == 2
    assert "Traceback (most recent call last)" in done.stderr
    assert "registry.py" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("deconvnet: there is no network 'zfnt'")


def test_usage_errors_and_help():
    for arguments in (["projct"], ["project"], ["train", "--epochs", "many"]):
        done = script(*arguments)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
    assert script("--help").returncode == 0
