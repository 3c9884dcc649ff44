"""Trains ten folds and leaves one ensemble artifact; without arguments, on the bundled example.

python jobs/kfold.py data.path=train.csv name=mine
python jobs/kfold.py --config my.yaml model.architecture=[textcnn,rnn_cnn]
ray job submit --working-dir . -- python jobs/kfold.py --config my.yaml
"""

import sys
from pathlib import Path

from rich.console import Console

from raytrain.commands.shared import config_parser, job_console, run_job
from raytrain.config.load import load_config, touches_data
from raytrain.config.schema import Config

EXAMPLE = Path(__file__).with_name("kfold.yaml")


def main(arguments: list[str] | None = None) -> None:
    """Parses, trains, and says where the artifact lies."""
    options = config_parser(__doc__, "jobs/kfold.py").parse_args(arguments)
    is_example = options.config is None and not touches_data(options.overrides)
    config = load_config(EXAMPLE if is_example else options.config, options.overrides)
    console = job_console()
    if is_example:
        _write_example(config)
    train(config, console)


def _write_example(config: Config) -> None:
    from raytrain.corpus.example import write_example

    Path(config.data.path).parent.mkdir(parents=True, exist_ok=True)
    write_example(config.data.path)


def train(config: Config, console: Console) -> None:
    """Runs the cross-validation and, where data.test is given, predicts it."""
    from raytrain.crossval.driver import cross_validate
    from raytrain.ensemble.files import TEST_OUTPUT, predict_test

    cross_validate(config, console)
    output = TEST_OUTPUT[config.task]
    run = f"{config.storage.rstrip('/')}/{config.name}"
    if config.data.test is not None:
        num_rows, _ = predict_test(run, config)
        done = f"{run}/{output}: {num_rows:,} rows of {config.data.test}"
        console.print(done, highlight=False, markup=False)
    command = (
        f"python jobs/predict.py --ensemble {run}/ensemble --input FILE --output FILE{Path(output).suffix}"
    )
    lines = f"ensemble: {run}/ensemble\npredict with: {command}"
    console.print(lines, highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(run_job(main, "what is committed is kept: run the same command again to go on"))
