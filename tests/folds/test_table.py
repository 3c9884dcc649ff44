import io

import pytest
from rich.console import Console

from raytrain.folds import table as table_module
from raytrain.folds.events import EpochEnded, Labelled, Restarted, Started, Stepped
from raytrain.folds.table import FoldTable
from raytrain.stages import LINE_EVERY

NAMES = [f"finetune/r0-fold-0{i}" for i in range(4)]
STEP = Stepped(5, 10, loss=0.51239, rate=1234.5)
AGAIN = Restarted(0.6931, 0.6881, seed=77, restarts=1, allowed=2)
EPOCH = EpochEnded({"epoch": 2, "loss": 0.4, "accuracy": 0.87654, "auc": 0.9})


def plain_console():
    return Console(file=io.StringIO(), width=100)


def picture(table):
    """What a terminal would show."""
    console = Console(file=io.StringIO(), width=120, record=True, force_terminal=True)
    console.print(table)
    return console.export_text()


def row_of(table, name):
    return next(line for line in picture(table).splitlines() if line.startswith(name)).split()[1:]


def table_of(names=NAMES, epochs=3, height=40):
    console = Console(file=io.StringIO(), width=120, height=height, force_terminal=True)
    return FoldTable(dict.fromkeys(names, epochs), console)


def test_without_a_terminal_epochs_and_ends_are_plain_lines():
    console = plain_console()
    table = FoldTable(dict.fromkeys(NAMES, 3), console)
    with table.shown():
        table.set_state(NAMES[1], "starting")
        table.update(NAMES[1], STEP)
        table.update(NAMES[1], EPOCH)
        table.set_state(NAMES[1], "committed")
    assert console.file.getvalue().splitlines() == [
        "finetune/r0-fold-01  epoch 2/3  loss 0.4000  valid accuracy 0.8765",
        "finetune/r0-fold-01  committed",
    ]


def test_each_fold_counts_its_own_epochs():
    console = plain_console()
    table = FoldTable({NAMES[0]: 2, NAMES[1]: 10}, console)
    for name in NAMES[:2]:
        table.update(name, EPOCH)
    assert [line.split("  ")[1] for line in console.file.getvalue().splitlines()] == [
        "epoch 2/2",
        "epoch 2/10",
    ]
    assert [row_of(table, name)[1] for name in NAMES[:2]] == ["2/2", "2/10"]


def test_without_a_terminal_a_long_silence_is_broken(monkeypatch):
    now = [50.0]
    monkeypatch.setattr(table_module.time, "monotonic", lambda: now[0])
    console = plain_console()
    table = FoldTable(dict.fromkeys(NAMES, 2), console)
    with table.shown():
        table.tell()
        now[0] += LINE_EVERY - 1
        table.tell()
        assert console.file.getvalue() == ""
        now[0] += 1
        table.tell()
        assert console.file.getvalue() == "4 waiting  ·  1:00 elapsed, – left\n"
        table.update(NAMES[1], STEP)
        now[0] += LINE_EVERY
        table.tell()
        table.tell()
        table.set_state(NAMES[1], "committed")
        now[0] += LINE_EVERY - 1
        table.tell()
    assert console.file.getvalue().splitlines()[1:] == [
        f"{NAMES[1]} 25%  ·  3 waiting, 1 training  ·  2:00 elapsed, 30:00 left",
        f"{NAMES[1]}  committed",
    ]


def test_a_terminal_needs_no_lines(monkeypatch):
    now = [50.0]
    monkeypatch.setattr(table_module.time, "monotonic", lambda: now[0])
    table = table_of()
    with table.shown():
        now[0] += LINE_EVERY
        table.tell()
        table._live.stop()
        assert "4 waiting  ·  1:00 elapsed" in table._console.file.getvalue()
        assert table._told == 50.0


@pytest.mark.parametrize("state", ["committed", "kept", "failed"])
def test_end_of_a_fold_is_told_once(state):
    console = plain_console()
    table = FoldTable(dict.fromkeys(NAMES, 3), console)
    table.set_state(NAMES[0], state)
    table.set_state(NAMES[0], state)
    assert console.file.getvalue() == f"{NAMES[0]}  {state}\n"


@pytest.mark.parametrize("state", ["waiting", "starting", "training"])
def test_states_on_the_way_are_no_lines(state):
    console = plain_console()
    FoldTable(dict.fromkeys(NAMES, 3), console).set_state(NAMES[0], state)
    assert console.file.getvalue() == ""


def test_on_a_terminal_the_last_picture_stays_and_no_lines_are_mixed_in():
    console = Console(file=io.StringIO(), width=120, height=40, force_terminal=True)
    table = FoldTable(dict.fromkeys(NAMES, 3), console)
    with table.shown():
        table.update(NAMES[0], EPOCH)
        table.set_state(NAMES[0], "committed")
    written = console.file.getvalue()
    assert "valid accuracy" not in written
    assert "3 waiting, 1 committed" in written


def test_states_are_shown_and_counted():
    table = table_of()
    table.set_state(NAMES[0], "kept")
    table.set_state(NAMES[1], "starting")
    table.update(NAMES[2], STEP)
    assert [row_of(table, name)[0] for name in NAMES] == ["kept", "starting", "training", "waiting"]
    assert "1 waiting, 1 starting, 1 training, 1 kept" in picture(table)


def test_first_event_starts_training_and_later_ones_do_not_undo_the_end():
    table = table_of()
    table.update(NAMES[0], STEP)
    assert row_of(table, NAMES[0])[0] == "training"
    table.set_state(NAMES[0], "failed")
    table.update(NAMES[0], STEP)
    assert row_of(table, NAMES[0])[0] == "failed"


def test_steps_show_the_running_epoch_loss_and_rate():
    table = table_of()
    table.update(NAMES[0], STEP)
    assert row_of(table, NAMES[0]) == ["training", "1/3", "0.5124", "1,234"]


def test_epoch_shows_accuracy_and_begins_the_next():
    table = table_of()
    table.update(NAMES[0], STEP)
    table.update(NAMES[0], EPOCH)
    assert row_of(table, NAMES[0])[:4] == ["training", "2/3", "0.4000", "0.8765"]
    table.update(NAMES[0], STEP)
    assert row_of(table, NAMES[0])[1] == "3/3"


def test_rate_is_shown_of_folds_in_training_alone():
    table = table_of()
    table.update(NAMES[0], STEP)
    table.set_state(NAMES[0], "committed")
    assert row_of(table, NAMES[0]) == ["committed", "1/3", "0.5124"]


def test_where_the_folds_do_not_fit_those_at_work_are_shown_and_all_counted():
    table = table_of(height=8)
    table.set_state(NAMES[0], "committed")
    table.update(NAMES[1], STEP)
    table.set_state(NAMES[2], "failed")
    text = picture(table)
    assert NAMES[1] in text and NAMES[2] in text
    assert NAMES[0] not in text and NAMES[3] not in text
    assert "1 waiting, 1 training, 1 committed, 1 failed" in text


def test_time_left_is_known_once_work_is_done(monkeypatch):
    now = 100.0
    monkeypatch.setattr("raytrain.folds.table.time.monotonic", lambda: now)
    table = FoldTable(dict.fromkeys(NAMES, 2), plain_console())
    table.set_state(NAMES[0], "kept")
    with table.shown():
        assert "0:00 elapsed, – left" in picture(table)
        now = 160.0
        table.update(NAMES[1], EpochEnded({**EPOCH.metrics, "epoch": 1}))
        # Half a fold took a minute; two and a half are left. What was kept took no time.
        assert "1:00 elapsed, 5:00 left" in picture(table)
        table.update(NAMES[1], STEP)
        assert "1:00 elapsed, 3:00 left" in picture(table)


def test_time_left_goes_by_what_each_fold_takes(monkeypatch):
    now = 100.0
    monkeypatch.setattr("raytrain.folds.table.time.monotonic", lambda: now)
    work = dict(zip(NAMES, (6.0, 6.0, 1.0, 1.0), strict=True))
    table = FoldTable(dict.fromkeys(NAMES, 2), plain_console(), work=work)
    with table.shown():
        now = 400.0
        table.set_state(NAMES[0], "committed")
        # Six of fourteen parts took five minutes.
        assert "5:00 elapsed, 6:40 left" in picture(table)
        table.set_state(NAMES[2], "committed")
        assert "5:00 elapsed, 5:00 left" in picture(table)


def test_what_an_earlier_start_trained_says_nothing_of_the_pace(monkeypatch):
    now = 100.0
    monkeypatch.setattr("raytrain.folds.table.time.monotonic", lambda: now)
    table = FoldTable(dict.fromkeys(NAMES[:2], 1), plain_console())
    with table.shown():
        table.update(NAMES[0], Started("10.0.0.1", goes_on=True))
        now = 160.0
        table.update(NAMES[0], STEP)
        assert "1:00 elapsed, – left" in picture(table)
        now = 220.0
        table.update(NAMES[0], Stepped(6, 10, loss=0.5, rate=1.0))
        # A tenth of a fold took two minutes; 1.4 are left.
        assert "2:00 elapsed, 28:00 left" in picture(table)


def test_step_of_a_fold_without_steps_does_not_fail():
    table = table_of()
    table.update(NAMES[0], Stepped(0, 0, loss=0.51239, rate=1234.5))
    assert row_of(table, NAMES[0])[:2] == ["training", "0/3"]


def test_a_fold_that_is_sure_of_no_text_is_done_and_stays_so():
    console = plain_console()
    table = FoldTable(dict.fromkeys(NAMES, 2), console)
    table.update(NAMES[0], EPOCH)
    before = row_of(table, NAMES[0])
    table.update(NAMES[0], Labelled(0))
    assert row_of(table, NAMES[0])[: len(before)] == before
    assert "it stays as it is" in console.file.getvalue()
    table.update(NAMES[0], Labelled(3))
    assert row_of(table, NAMES[0])[: len(before)] != before  # learns from the beginning


def test_without_a_terminal_a_fold_begun_again_is_a_line():
    console = Console(file=io.StringIO(), width=200)
    table = FoldTable(dict.fromkeys(NAMES, 3), console)
    table.update(NAMES[0], AGAIN)
    assert console.file.getvalue() == (
        f"{NAMES[0]}  learns nothing (loss 0.693, a constant guess has 0.688): "
        "begun again with another seed, 1 of 2\n"
    )


def test_in_the_table_a_fold_begun_again_is_at_its_beginning_and_says_why():
    table = table_of()
    table.update(NAMES[0], STEP)
    table.update(NAMES[0], AGAIN)
    assert row_of(table, NAMES[0]) == ["starting", "0/3"]
    table.update(NAMES[0], STEP)
    assert row_of(table, NAMES[0])[:2] == ["training", "1/3"]
    assert f"{NAMES[0]}: learns nothing (loss 0.693" in picture(table)
    assert f"{NAMES[1]}:" not in picture(table)


def test_an_epoch_without_scores_is_told_by_its_loss():
    console = plain_console()
    table = FoldTable(dict.fromkeys(NAMES, 3), console)
    table.update(NAMES[0], EpochEnded({"epoch": 1, "loss": 0.5}))
    assert console.file.getvalue() == f"{NAMES[0]}  epoch 1/3  loss 0.5000\n"
