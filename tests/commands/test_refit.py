"""What the commands that make one model read of their arguments, and what they say at the end."""

import pytest
from rich.console import Console

from raytrain.commands import distill, refit
from raytrain.files.reading import Reading
from raytrain.refit import distill as distill_module
from raytrain.refit import driver as driver_module
from raytrain.refit.model import OneModel


@pytest.fixture
def asked(monkeypatch):
    """What the drivers were asked for."""
    calls = []

    def made(task, *arguments):
        calls.append(tuple(one for one in arguments if not isinstance(one, Console)))
        return OneModel("甲/artifact", {"task": task})

    monkeypatch.setattr(driver_module, "refit_run", lambda *arguments: made("tag", *arguments))
    monkeypatch.setattr(distill_module, "distill_run", lambda *arguments: made("classify", *arguments))
    return calls


@pytest.mark.parametrize(
    "arguments",
    [
        ["runs/甲", "train.epochs=2", "seed=1", "--output", "甲"],
        ["runs/甲", "--output", "甲", "train.epochs=2", "seed=1"],
        ["--output", "甲", "runs/甲", "train.epochs=2", "seed=1"],
    ],
)
def test_options_may_stand_anywhere(asked, capsys, arguments):
    refit.main(arguments)
    assert asked == [("runs/甲", "甲", ["train.epochs=2", "seed=1"])]
    assert "--ensemble 甲/artifact --input FILE --output FILE.jsonl" in capsys.readouterr().out


def test_what_was_made_and_where_is_told(asked, capsys):
    refit.main(["runs/甲/"])
    distill.main(["runs/甲"])
    assert [call[:5] for call in asked] == [("runs/甲/", None, []), ("runs/甲", None, None, None, [])]
    told = capsys.readouterr().out
    assert told.count("artifact: 甲/artifact\n") == 2 and "FILE.jsonl" in told and "FILE.csv" in told


def test_texts_and_their_columns_are_the_students(asked):
    distill.main(["runs/甲", "--texts", "a.csv", "--column", "一", "--column", "二", "distill.hard=0"])
    assert [call[:5] for call in asked] == [("runs/甲", "a.csv", ["一", "二"], None, ["distill.hard=0"])]


def test_how_the_texts_are_read_is_said_by_flags(asked, capsys):
    said = ["--encoding", "big5", "--quoting", "none", "--columns", "text,x"]
    distill.main(["runs/甲", "--texts", "a.csv", *said])
    assert asked[0][-1] == Reading("big5", "none", ("text", "x"), by_flags=True)
    for flag in (said[:2], said[2:4], said[4:], ["--column", "text"]):
        with pytest.raises(SystemExit, match="2"):
            distill.main(["runs/甲", *flag])
    assert "of the file of --texts" in capsys.readouterr().err


def test_without_a_run_there_is_nothing_to_do(asked, capsys):
    with pytest.raises(SystemExit, match="2"):
        refit.main([])
    assert "RUN" in capsys.readouterr().err and not asked
