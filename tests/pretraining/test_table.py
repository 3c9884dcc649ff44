"""What a person sees of a pre-training."""

import io
import math
import time

from rich.console import Console
from tiny_pretraining import settings

from raytrain.folds.events import EpochEnded, Retried, Started, Stepped
from raytrain.pretraining.table import PretrainTable, result_lines, result_table

EVALUATED = {"step": 50, "epoch": 0.5, "loss": 3.25, "perplexity": 20.5, "accuracy": 0.345}


def table_of(terminal=False):
    printed = io.StringIO()
    console = Console(file=printed, width=120, force_terminal=terminal)
    return PretrainTable(100, 32, console), printed


def test_without_a_terminal_each_evaluation_and_failure_is_a_line():
    table, printed = table_of()
    with table.shown():
        table.update(Started("10.0.0.1", goes_on=True))
        table.update(EpochEnded({**EVALUATED, "step": 0, "loss": math.nan}))
        table.update(Stepped(30, 100, 3.5, 64.0))
        table.update(EpochEnded(EVALUATED))
        table.update(Retried("failure 1 of 2 that are forgiven: again"))
    lines = printed.getvalue().splitlines()
    assert lines[0] == "goes on from its checkpoint"
    assert lines[1] == "step 0/100  held back: perplexity 20.50, accuracy 0.3450"
    assert lines[2] == "step 50/100  loss 3.2500  held back: perplexity 20.50, accuracy 0.3450"
    assert lines[3].startswith("failure 1 of 2") and len(lines) == 4


def test_a_long_silence_is_broken_by_pace_and_time_left(monkeypatch):
    table, printed = table_of()
    now = [time.monotonic()]
    monkeypatch.setattr("raytrain.pretraining.table.time.monotonic", lambda: now[0])
    table.update(Stepped(10, 100, 3.5, 64.0))
    now[0] += 120
    table.update(Stepped(40, 100, 3.4, 64.0))
    table.tell()
    assert printed.getvalue() == "step 40/100, loss 3.4000, 2.00 steps/s, 4:00 left\n"
    table.tell()
    assert printed.getvalue().count("\n") == 1


def test_on_a_terminal_a_bar_is_drawn():
    table, printed = table_of(terminal=True)
    with table.shown():
        table.update(Stepped(10, 100, 3.5, 64.0))
        table.update(EpochEnded(EVALUATED))
    assert "pre-training" in printed.getvalue() and "perplexity 20.50" in printed.getvalue()


def record_of(**changes):
    told = {"steps": 100, "tokens_told": 5000, "seconds": 12.0, "stopped_early": False}
    history = [{**EVALUATED, "step": 0, "perplexity": 75.0, "accuracy": 0.25}, EVALUATED]
    return {"settings": vars(settings(steps=100)), "history": history, **told, **changes}


def drawn(table):
    printed = io.StringIO()
    Console(file=printed, width=80).print(table)
    return " ".join(printed.getvalue().split())


def test_the_result_is_before_and_after():
    assert drawn(result_table(record_of())) == (
        "held back before after perplexity 75.00 20.50 accuracy 0.2500 0.3450"
    )
    assert result_lines(record_of()) == ["100 steps of 4 sequences; 5,000 tokens told, 12 s"]


def test_where_nothing_is_held_back_nothing_is_told():
    history = [{**EVALUATED, "perplexity": None, "accuracy": None}] * 2
    assert drawn(result_table(record_of(history=history))).count("–") == 4


def test_what_the_time_budget_left_out_is_said():
    [line] = result_lines(record_of(steps=40, stopped_early=True))
    assert "left 60 out" in line and "goes on" in line
