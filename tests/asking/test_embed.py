import signal
from pathlib import Path

import numpy as np
import pytest
from tiny_run import make_rows, write_csv

from raytrain.commands.program import main
from raytrain.vectors.files import read_vectors

GIVEN = ["--encoder", "mini", "--input", "a.csv", "--output", "out.parquet"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, float32_again):
    before = signal.getsignal(signal.SIGTERM)
    write_csv(tmp_path / "a.csv", make_rows(30))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


def run(*arguments):
    try:
        return main(["embed", *arguments])
    except SystemExit as error:
        return error.code


def test_a_file_gets_its_vectors(folder, capsys):
    assert run(*GIVEN, "--whiten", "--size", "8", "--type", "float16", "--maxlen", "32") == 0
    ids, vectors = read_vectors(folder / "out.parquet")
    assert ids == list(range(30)) and vectors.shape == (30, 8) and vectors.dtype == np.float16
    assert capsys.readouterr().out == "out.parquet: 30 vectors\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--output", "out.csv"], "ends in .parquet"),
        (["--output", "absent/out.parquet"], "does not exist"),
        (["--size", "8"], "add --whiten"),
        (["--maxlen", "3"], "at least 4"),
        (["--encoder", "hf:x"], "the encoder cannot be used"),
        (["--encoder", "absent"], "no such checkpoint"),
        (["--encoder", str(Path(__file__).parent)], "expected one"),
        (["--maxlen", "1000"], "maxlen=1000: the encoder has only 512 positions"),
        (["--ensemble", "absent"], "not allowed with argument --encoder"),
        (["--column", "文"], "expected a column of this name"),
        (["--input", "absent.csv"], "absent.csv"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_read(folder, arguments, told, capsys):
    assert run(*GIVEN, *arguments) == 2
    said = capsys.readouterr().err
    assert told in said and not (folder / "out.parquet").exists()
    assert "encoder." not in said  # keys are a config's


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "manifest.json"),
        (["--maxlen", "64"], "an ensemble reads texts as it was trained"),
        (["--pooling", "first"], "an ensemble reads texts as it was trained"),
    ],
)
def test_an_ensemble_that_is_none_or_is_told_how_to_read(folder, arguments, told, capsys):
    given = ["--ensemble", str(folder), "--input", "a.csv", "--output", "out.parquet"]
    assert run(*given, *arguments) == 2
    assert told in capsys.readouterr().err and not (folder / "out.parquet").exists()
