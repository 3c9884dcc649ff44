"""Files predicted by Ray Data on one shared local Ray."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from folds_here import trained_here
from tiny_run import make_rows, silent_console, silent_stages, tiny_config, write_csv

from raytrain.bulk.driver import Workers, ask, predict_all
from raytrain.crossval.driver import train_run
from raytrain.ensemble.files import predict_file
from raytrain.errors import ConfigError, CorpusError

pytestmark = pytest.mark.slow
ONE = Workers(count=1, cpus=0.5)


def trained(directory, architectures):
    config = tiny_config(directory, model__architecture=architectures, train__epochs=1)
    with trained_here():
        train_run(config, silent_console())
    return f"{config.storage}/{config.name}/ensemble"


@pytest.fixture(scope="module")
def ensemble(local_ray, tmp_path_factory):
    """Of n-grams, whose workers start quickly."""
    return trained(tmp_path_factory.mktemp("ngrams"), "tfidf")


def write_inputs(folder):
    folder.mkdir()
    write_csv(folder / "small.csv", make_rows(9, seed=3))
    write_csv(folder / "large.csv", make_rows(40, seed=4))
    return folder


def predict(ensemble, inputs, output, **options):
    asked, names = ask(ensemble, str(inputs), str(output), ".csv", piece_rows=16, **options)
    return predict_all(asked, names, ONE, silent_stages())


def test_what_comes_out_is_what_the_plain_command_writes(local_ray, tmp_path):
    ensemble = trained(tmp_path, "[textcnn,tfidf]")
    inputs, output = write_inputs(tmp_path / "in"), tmp_path / "out"
    done = predict(ensemble, inputs, output)
    assert (done.files, done.kept, done.rows) == (2, 0, 49)
    names = sorted(path.name for path in output.iterdir() if path.suffix == ".csv")
    assert names == ["large-00000.csv", "large-00001.csv", "large-00002.csv", "small.csv"]
    for stem in ("small", "large"):
        list(predict_file(ensemble, str(inputs / f"{stem}.csv"), str(tmp_path / f"{stem}.csv")))
        parts = [path.read_text("utf-8-sig").splitlines() for path in sorted(output.glob(f"{stem}*.csv"))]
        together = [parts[0][0], *(line for part in parts for line in part[1:])]
        assert together == (tmp_path / f"{stem}.csv").read_text("utf-8-sig").splitlines()

    again = predict(ensemble, inputs, output)
    assert (again.files, again.kept, again.rows) == (0, 2, 49)
    with pytest.raises(ConfigError, match="holds something else"):
        predict(ensemble, inputs, output, reject=0.9)


def test_a_run_that_was_cut_off_goes_on_with_what_is_missing(ensemble, tmp_path):
    inputs, output = write_inputs(tmp_path / "in"), tmp_path / "out"
    predict(ensemble, inputs, output)
    expected = {path.name: path.read_bytes() for path in output.glob("*.csv")}
    kept = {path.name: path.stat().st_mtime_ns for path in output.glob("*.csv")}
    for name in ("_large.done.json", "large-00001.csv"):
        (output / name).unlink()
    done = predict(ensemble, inputs, output)
    assert (done.files, done.kept, done.rows) == (1, 1, 49)
    assert {path.name: path.read_bytes() for path in output.glob("*.csv")} == expected
    changed = [name for name, time in kept.items() if (output / name).stat().st_mtime_ns != time]
    assert changed == ["large-00001.csv"]


def test_a_file_that_cannot_be_read_is_told_and_what_is_predicted_stays(ensemble, tmp_path):
    inputs, output = write_inputs(tmp_path / "in"), tmp_path / "out"
    (inputs / "wrong.csv").write_text("other\n一\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"wrong\.csv"):
        predict(ensemble, inputs, output)
    (inputs / "wrong.csv").unlink()
    assert predict(ensemble, inputs, output).rows == 49


def test_parquet_comes_out_in_the_rows_order(ensemble, tmp_path):
    inputs = write_inputs(tmp_path / "in")
    asked, names = ask(ensemble, f"{inputs}/large.csv", str(tmp_path / "out"))
    assert predict_all(asked, names, ONE, silent_stages()).rows == 40
    table = pq.read_table(tmp_path / "out" / "large.parquet")
    assert table["id"].to_pylist() == [f"row-{number}" for number in range(40)]
    proba = np.stack([table["proba_a"].to_numpy(), table["proba_b"].to_numpy()], axis=1)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert Path(asked.ensemble).is_absolute()
