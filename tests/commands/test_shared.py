import os
import signal
import subprocess
import sys

import pytest

from raytrain.commands.shared import config_parser, job_console, run_job
from raytrain.config.validate import config_keys, describe_keys
from raytrain.errors import ConfigError, CorpusError, FoldError, RaytrainError

ADVICE = "run the same command again"


@pytest.fixture(autouse=True)
def signal_handlers():
    """Gives this process its signal handlers back."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def raising(error):
    def main():
        raise error

    return main


def test_success_is_0(capsys):
    assert run_job(lambda: print("done"), ADVICE) == 0
    assert capsys.readouterr() == ("done\n", "")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("the config is not valid", ["seed: not a number"]), 2),
        (CorpusError("a.csv: cannot be read"), 2),
        (RaytrainError("went wrong"), 1),
        (FoldError({"finetune/r0-fold-03": "out of memory"}, "run again"), 1),
    ],
)
def test_error_is_one_message_without_traceback(capsys, error, code):
    assert run_job(raising(error), ADVICE) == code
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"error: {error}\n")


def test_each_problem_of_an_input_error_is_shown(capsys):
    run_job(raising(ConfigError("the config is not valid", ["seed: 一", "name: 二"])), ADVICE)
    assert capsys.readouterr().err == "error: the config is not valid\n  - seed: 一\n  - name: 二\n"


def test_interrupt_is_130_and_says_how_to_go_on(capsys):
    assert run_job(raising(KeyboardInterrupt()), ADVICE) == 130
    assert "run the same command again" in capsys.readouterr().err


def test_sigterm_ends_like_an_interrupt():
    def main():
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()

    assert run_job(main, ADVICE) == 130


def test_interruption_shuts_ray_down_and_a_second_one_does_not_cut_that_short(monkeypatch):
    import ray

    ended = []

    def shutdown():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        ended.append(1)

    monkeypatch.setattr(ray, "shutdown", shutdown)
    assert run_job(raising(KeyboardInterrupt()), ADVICE) == 130
    assert run_job(lambda: os.kill(os.getpid(), signal.SIGTERM), ADVICE) == 130
    assert ended == [1, 1]


def test_unforeseen_exception_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run_job(raising(ZeroDivisionError()), ADVICE)


def test_usage_error_of_the_parser_is_2(capsys):
    with pytest.raises(SystemExit) as caught:
        run_job(lambda: config_parser(None, "python jobs/kfold.py").parse_args(["--epochs", "3"]), ADVICE)
    assert caught.value.code == 2
    assert "usage: python jobs/kfold.py" in capsys.readouterr().err


def test_reader_that_goes_away_leaves_no_traceback():
    script = (
        "import sys; from raytrain.commands.shared import run_job\n"
        "def main():\n"
        "    print('x' * 1_000_000, flush=True)\n"
        "sys.exit(run_job(main, 'nothing was written'))"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 1


def test_help_lists_every_key_with_default_and_meaning():
    lines = config_parser("Trains.", "python jobs/kfold.py").format_help().splitlines()
    for key, default, description in describe_keys():
        (line,) = (line for line in lines if line.startswith(f"  {key}={default} "))
        assert line.endswith(f"  {description}")
    assert len(config_keys()) > 30


def test_help_exits_with_0(capsys):
    with pytest.raises(SystemExit) as caught:
        config_parser("Trains.", "python jobs/kfold.py").parse_args(["--help"])
    assert caught.value.code == 0
    assert "usage: python jobs/kfold.py" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "config", "overrides"),
    [
        ([], None, []),
        (["a=1", "b.c=[x, y]"], None, ["a=1", "b.c=[x, y]"]),
        (["--config", "a.yaml", "seed=1"], "a.yaml", ["seed=1"]),
        (["seed=1", "--config=a.yaml"], "a.yaml", ["seed=1"]),
    ],
)
def test_arguments(arguments, config, overrides):
    options = config_parser(None, "python jobs/kfold.py").parse_args(arguments)
    assert (options.config, options.overrides) == (config, overrides)


def test_console_of_a_pipe_is_wide(capsys):
    assert job_console().width == 120
