"""Trains ten folds and leaves one ensemble artifact; without arguments, on the bundled example."""

from pathlib import Path

from rich.console import Console

from raytrain.commands.shared import AS_PROGRAM, Named, config_parser, describe, job_console, tell_artifact
from raytrain.config.load import load_config, touches_data
from raytrain.config.schema import Config

EXAMPLE = Path(__file__).with_name("kfold.yaml")

EXAMPLES = """{kfold} data.path=train.csv name=mine
{kfold} --config my.yaml model.architecture=[textcnn,rnn_cnn]
ray job submit --working-dir . -- {kfold} --config my.yaml"""
WHEN_INTERRUPTED = "what is committed is kept: run the same command again to go on"


def main(arguments: list[str] | None = None, named: Named = AS_PROGRAM) -> None:
    """Parses, trains, and says where the artifact lies."""
    options = config_parser(describe(__doc__, EXAMPLES, named), named("kfold")).parse_intermixed_args(
        arguments
    )
    is_example = options.config is None and not touches_data(options.overrides)
    config = load_config(EXAMPLE if is_example else options.config, options.overrides)
    console = job_console()
    if is_example:
        _write_example(config)
    from raytrain.crossval.driver import train_run

    train_run(config, console)
    tell_report(config, console)
    tell_ensemble(config, console, named)


def _write_example(config: Config) -> None:
    from raytrain.corpus.example import write_example

    Path(config.data.path).parent.mkdir(parents=True, exist_ok=True)
    write_example(config.data.path)


def tell_report(config: Config, console: Console) -> None:
    """Writes a run's report and says where it lies; a run must not fail for the want of one."""
    if config.report == "none":
        return
    run, words = f"{config.storage.rstrip('/')}/{config.name}", config.report == "full"
    try:
        from raytrain.report.page import REPORT, is_told, write_report

        if not is_told(run, words):  # a fuller one that the command `report` wrote stays
            write_report(run, words=words, console=console)
        line = f"report: {run}/{REPORT}"
    except Exception as error:
        line = f"no report was written: {str(error) or repr(error)}"
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def tell_ensemble(config: Config, console: Console, named: Named) -> None:
    """Says where a run's ensemble lies, and what predicts with it."""
    ensemble = f"{config.storage.rstrip('/')}/{config.name}/ensemble"
    tell_artifact("ensemble", ensemble, config.task, console, named)
