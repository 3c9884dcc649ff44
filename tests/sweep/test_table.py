import io

from rich.console import Console
from sweep.test_records import config_of, record_of

from raytrain.sweep.records import TrialRecord
from raytrain.sweep.table import TrialTable, best_table, score_text


def drawn(renderable, width=160):
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    return console.file.getvalue()


def test_the_best_ten_are_shown_best_first():
    records = [record_of(number, [number / 20] * 3) for number in range(12)]
    lines = drawn(best_table(records, config_of("sweep.metric=accuracy"))).splitlines()
    assert "the best of 12 trials by accuracy (12 finished)" in lines[0]
    assert [int(line.split()[0]) for line in lines[2:]] == [11, 10, 9, 8, 7, 6, 5, 4, 3, 2]


def test_values_scores_and_spread_stand_in_a_row():
    record = record_of(0, [0.8, 0.9, 0.7])
    record.point = {"model.architecture": "textcnn", "train.learning_rate": 0.00123}
    text = drawn(best_table([record], config_of("sweep.metric=accuracy")))
    for part in ("textcnn", "1.23e-03", "0.8000 ± 0.1000", "3/3"):
        assert part in text


def test_one_fold_has_no_spread():
    assert score_text(record_of(0, [0.8]), "accuracy") == "0.8000"
    assert score_text(record_of(0, [0.8, 0.9]), "accuracy") == "0.8500 ± 0.0707"
    assert score_text(record_of(0, []), "accuracy") == "–"
    assert "nan" not in drawn(best_table([record_of(0, [0.8])], config_of()))


def test_without_a_terminal_each_event_is_a_line():
    console = Console(file=io.StringIO(), width=60)
    table = TrialTable({}, config_of(), console)
    with table.shown():
        table.tell(record_of(4, [0.5], "pruned"))
        table.tell(TrialRecord(5, {"train.epochs": 2}, "failed", error="the loss is not finite"))
    lines = console.file.getvalue().splitlines()
    assert lines[0].startswith("trial   4  pruned") and "0.5000 (1/3 folds)" in lines[0]
    assert lines[1].endswith("the loss is not finite")


def test_the_live_table_shows_what_runs_first_and_fits_the_screen():
    console = Console(file=io.StringIO(), width=120, height=16, force_terminal=True)
    records = {number: record_of(number, [0.5] * 3) for number in range(40)}
    records[40] = record_of(40, [0.1], "running")
    table = TrialTable(records, config_of(), console)
    with table.shown():
        pass
    text = drawn(table.__rich__(), width=120)
    assert text.splitlines()[1].split()[:2] == ["40", "running"]
    assert len(text.splitlines()) <= 14
    assert "1 running, 40 finished" in text


def test_time_goes_on_from_the_session_before():
    table = TrialTable({0: record_of(0, [0.5], ended=100.0)}, config_of(), Console(file=io.StringIO()))
    assert 100 <= table.elapsed < 160
