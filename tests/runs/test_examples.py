"""The examples run as they stand: one as its reader runs it, the others with their folds in this process."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
pytestmark = [pytest.mark.slow, pytest.mark.long]


def test_an_example_runs_to_its_end(tmp_path):
    script = EXAMPLES / "classifier.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout and "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "example", sorted({path.stem for path in EXAMPLES.glob("*.py")} - {"classifier"}), ids=str
)
def test_another_one_does(example, here, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / f"{example}.py"), run_name="__main__")
    assert "accuracy" in capsys.readouterr().out
