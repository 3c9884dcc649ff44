import signal

import pytest

from raytrain.commands.program import main
from raytrain.exporting import driver
from raytrain.exporting.check import Check
from raytrain.exporting.driver import Exported
from raytrain.exporting.settings import CheckFile, ExportSettings

GIVEN = ["--ensemble", "runs/mine/ensemble", "--format", "onnx", "--output", "out"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


def run(*arguments):
    try:
        return main(["export", *arguments])
    except SystemExit as error:
        return error.code


@pytest.fixture
def asked(monkeypatch):
    """What the driver is asked, in whose place nothing is done."""
    said = []

    def export(ensemble, output, settings, stages):
        said.append((ensemble, output, settings))
        checks = [
            Check("predict", 30_700_000, 0.819, 0.0, 41.0),
            Check("model.int8.onnx", 11_600_000, None, 0.0561, 1190.0),
        ]
        return Exported(str(output), ["export.json", "model.onnx"], checks, ["left out: tfidf"])

    monkeypatch.setattr(driver, "export", export)
    return said


def test_what_was_found_is_told_in_a_table(asked, capsys):
    assert run(*GIVEN) == 0
    assert capsys.readouterr().out.splitlines() == [
        "out: export.json, model.onnx",
        "                 size     accuracy  difference  texts/s",
        "predict          30.7 MB  0.8190    0.0e+00     41",
        "model.int8.onnx  11.6 MB  –         5.6e-02     1,190",
        "left out: tfidf",
    ]
    assert asked == [("runs/mine/ensemble", "out", ExportSettings("onnx"))]


def test_flags_say_how(asked):
    flags = ["--int8", "--only", "textcnn", "--only", "finetune", "--check", "a.csv", "--column", "body"]
    assert run(*GIVEN, *flags, "--label", "kind") == 0
    [(_, _, settings)] = asked
    assert settings.int8 and settings.only == ("textcnn", "finetune")
    assert (settings.check.path, settings.check.text_columns, settings.check.label) == (
        "a.csv",
        ["body"],
        "kind",
    )
    assert isinstance(settings.check, CheckFile) and settings.check.reading.by_flags


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--format", "torch"], "invalid choice"),
        (["--label", "kind"], "--label: of --check alone"),
        (["--column", "kind"], "--column: of --check alone"),
    ],
)
def test_usage_errors(asked, capsys, arguments, told):
    assert run(*GIVEN, *arguments) == 2
    assert told in capsys.readouterr().err and asked == []


def test_an_ensemble_that_is_none_ends_with_2(capsys):
    assert run(*GIVEN) == 2
    assert "no ensemble here" in capsys.readouterr().err


def test_nothing_is_left_when_interrupted(monkeypatch, capsys):
    def export(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(driver, "export", export)
    assert run(*GIVEN) == 130
    assert capsys.readouterr().err == "interrupted; nothing was written\n"


def test_the_package_has_a_door():
    import raytrain

    assert raytrain.ExportSettings is ExportSettings and raytrain.CheckFile is CheckFile
    assert raytrain.export.__module__ == "raytrain.exporting.driver"
