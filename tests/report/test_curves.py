import pytest
from fake_run import EPOCHS, NUM_FOLDS, write_run, write_tag_run
from tiny_run import silent_stages

from raytrain.report.curves import curves_section, mean_curve, overfitting_lines
from raytrain.report.facts import read_facts
from raytrain.storage.directory import Directory


def read(run):
    return read_facts(Directory(run), silent_stages())


def record(losses, dead=False, key="log_loss"):
    return {"dead": dead, "history": [{"epoch": i, key: loss} for i, loss in enumerate(losses, 1)]}


def test_the_mean_is_over_living_folds_where_all_of_them_have_an_epoch():
    records = [record([1.0, 0.5, 0.2]), record([0.6, 0.3]), record([9.0, 9.0], dead=True)]
    assert mean_curve(records, "log_loss") == ([1, 2], [0.8, pytest.approx(0.4)])
    assert mean_curve(records[2:], "log_loss") == ([1, 2], [9.0, 9.0])


@pytest.mark.parametrize(
    ("losses", "count"),
    [([0.5, 0.3, 0.4], 1), ([0.5, 0.4, 0.3], 0), ([0.5, 0.3, 0.301], 0), ([0.5], 0), ([0.5, None, 0.9], 0)],
)
def test_a_loss_that_rises_again_is_told(losses, count):
    lines = overfitting_lines({"textcnn": [record(losses)]})
    assert len(lines) == count
    assert all("lowest after epoch 2 (0.300) and 0.400 after the last one, 3" in line for line in lines)


@pytest.mark.parametrize(
    ("write", "titles"),
    [
        (write_run, ["training loss", "log loss of valid rows", "macro-F1 of valid rows"]),
        (write_tag_run, ["training loss", "log loss of valid rows", "F1 of valid rows"]),
    ],
)
def test_each_plot_has_a_line_for_every_fold_and_their_mean(tmp_path, write, titles):
    told = curves_section(read(write(tmp_path)))
    for title in titles:
        assert f"<figcaption>{title}</figcaption>" in told
    assert told.count("var(--accent); stroke-width: 0.6") == 3 * NUM_FOLDS
    assert told.count("var(--accent); stroke-width: 2.2") == 3


def test_architectures_have_colours_and_names_of_their_own(tmp_path):
    told = curves_section(read(write_run(tmp_path, architectures=("textcnn", "finetune"))))
    assert told.count("var(--second); stroke-width: 0.6") == 3 * NUM_FOLDS
    assert told.count(">textcnn</text>") == told.count(">finetune</text>") == 3


def test_one_epoch_is_no_curve(tmp_path):
    facts = read(write_run(tmp_path))
    assert all(len(one["history"]) == EPOCHS for one in facts.records)
    for one in facts.records:
        del one["history"][1:]
    assert curves_section(facts) is None


def test_a_dead_fold_is_dashed(tmp_path):
    facts = read(write_run(tmp_path))
    facts.records[0]["dead"] = True
    assert curves_section(facts).count("stroke-dasharray") == 3
