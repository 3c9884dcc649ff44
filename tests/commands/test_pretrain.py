import signal

import pytest

from raytrain.commands.program import main


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder, and the signal handler given back."""
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


def run(*arguments):
    try:
        return main(["pretrain", *arguments])
    except SystemExit as error:
        return error.code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data.path=nowhere.txt"], "nowhere.txt"),
        (["data.path=a.txt", "mask.rates=0.2"], "did you mean mask.rate?"),
        (["data.path=a.txt", "mask.rate=2"], "mask.rate: input should be less than or equal to 0.5; found 2"),
        ([], "data: required"),
        (["--steps", "3"], "usage: raytrain pretrain"),
    ],
)
def test_wrong_input_is_one_message_and_exit_code_2(arguments, message, capsys):
    assert run(*arguments) == 2
    printed = capsys.readouterr().err
    assert message in printed and "Traceback" not in printed


def test_where_the_encoder_lies_and_what_takes_it_is_said(monkeypatch, capsys):
    told = []
    monkeypatch.setattr("raytrain.pretraining.driver.pretrain", lambda config, console: told.append(config))
    assert run("data.path=a.txt", "name=mine", "train.steps=5") == 0
    assert told[0].train.steps == 5
    printed = capsys.readouterr().out
    assert "encoder: runs/mine/encoder" in printed
    assert "raytrain kfold data.path=FILE encoder.checkpoint=runs/mine/encoder" in printed


def test_help_names_every_key_of_its_own_config(capsys):
    assert run("--help") == 0
    printed = capsys.readouterr().out
    assert "mask.ngrams=false" in printed and "folds.num_folds" not in printed
