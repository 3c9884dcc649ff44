import subprocess
import sys

import raytrain


def test_the_package_runs_as_the_program():
    command = [sys.executable, "-m", "raytrain"]
    done = subprocess.run([*command, "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"raytrain {raytrain.__version__}\n")
