"""The program `raytrain` and the scripts in jobs/: the same commands under two names."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import raytrain
from raytrain.commands.program import main
from raytrain.commands.shared import COMMANDS

ROOT = Path(__file__).parents[2]
OTHERS = (
    *("raytrain/commands/kfold.yaml", "raytrain/report/page.css"),
    *(f"raytrain/serving/{name}" for name in ("page.css", "page.html", "page.js", "told.js")),
)


def test_help_lists_every_command(capsys):
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out
    assert all(f"\n  {name} " in listed for name in COMMANDS)


def test_the_version_is_told(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"raytrain {raytrain.__version__}\n"


@pytest.mark.parametrize(("arguments", "said"), [([], "found none"), (["kfodl"], "did you mean kfold?")])
def test_a_command_that_is_none_is_a_usage_error(capsys, arguments, said):
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_name_the_way_that_was_taken(capsys, name):
    with pytest.raises(SystemExit, match="0"):
        main([name, "--help"])
    helped = capsys.readouterr().out
    assert helped.startswith(f"usage: raytrain {name} ") and "jobs/" not in helped


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_a_script(name):
    script = ROOT / "jobs" / f"{name}.py"
    done = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"usage: python jobs/{name}.py ") and "raytrain kfold" not in done.stdout


def test_an_input_error_is_exit_code_2(capsys):
    assert main(["kfold", "data.path=nowhere.csv"]) == 2
    assert "nowhere.csv" in capsys.readouterr().err


@pytest.mark.long
def test_the_wheel_holds_all_and_runs_outside_the_checkout(tmp_path):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run([*pip, *build], check=True)
    [wheel] = tmp_path.glob("raytrain-*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("raytrain/")}
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "raytrain").rglob("*.py")}
    mini = {f"raytrain/pretrained/mini/{name}" for name in ("config.json", "model.safetensors", "vocab.txt")}
    assert held == sources | mini | {"raytrain/py.typed", *OTHERS}
    target = tmp_path / "there"
    subprocess.run([*pip, "install", "--no-deps", "--target", str(target), str(wheel)], check=True)
    script = f"import sys; sys.path.insert(0, {str(target)!r}); import raytrain; print(raytrain.__file__); "
    script += "from raytrain.commands.program import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", script, "kfold", "train.epochs=1", "folds.num_folds=2", "baseline=false"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(target / "raytrain"))
    assert "predict with: raytrain predict" in done.stdout
    assert (tmp_path / "runs" / "example" / "ensemble" / "manifest.json").exists()
