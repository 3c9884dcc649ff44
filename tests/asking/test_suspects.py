import signal

import pytest
import ray
from crossval.test_driver import Committed

from raytrain.commands.program import main
from raytrain.crossval import driver


@pytest.fixture(autouse=True)
def sigterm():
    """Gives this process its signal handler back."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """A run whose six labels `a` look wrong."""
    monkeypatch.setattr(driver, "connect", lambda address: None)
    monkeypatch.setattr(ray, "put", lambda value: value)
    committed = Committed(tmp_path)
    committed.train()
    return committed.directory


def run(*arguments):
    try:
        return main(["suspects", *map(str, arguments)])
    except SystemExit as error:
        return error.code


def test_the_runs_own_file_is_made_anew(finished, capsys):
    before = (finished / "suspects.csv").read_bytes()
    (finished / "suspects.csv").unlink()
    assert run(finished) == 0
    assert (finished / "suspects.csv").read_bytes() == before
    said = capsys.readouterr().out
    assert f"{finished}/suspects.csv: 6 labels that look wrong; fill in new_label" in said


@pytest.mark.parametrize(("most", "listed"), [("2", 2), ("0", 6)])
def test_another_file_holds_as_many_as_are_asked_for(finished, tmp_path, monkeypatch, capsys, most, listed):
    monkeypatch.chdir(tmp_path)
    assert run(finished, "--output", "mine.csv", "--most", most) == 0
    assert len((tmp_path / "mine.csv").read_text(encoding="utf-8-sig").splitlines()) == 1 + listed
    assert f"mine.csv: {listed} labels" in capsys.readouterr().out


def test_what_a_person_filled_in_is_not_overwritten(finished, capsys):
    filled = (finished / "suspects.csv").read_text(encoding="utf-8-sig").replace(",\n", ",b\n", 1)
    (finished / "suspects.csv").write_text(filled, encoding="utf-8-sig")
    assert run(finished) == 2
    assert "new labels that a person filled in" in capsys.readouterr().err
    assert (finished / "suspects.csv").read_text(encoding="utf-8-sig") == filled


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--most", "-1"], "--most: expected 0 or more"),
        (["--output", "out.xlsx"], "--output: expected a name that ends in .csv"),
        ([], "expected a run's directory"),
    ],
)
def test_what_cannot_be_done_is_a_usage_error(tmp_path, capsys, arguments, said):
    assert run(tmp_path / "nowhere", *arguments) == 2
    assert said in capsys.readouterr().err
