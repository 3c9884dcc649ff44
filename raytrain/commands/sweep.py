"""Searches for a good config and leaves it as best.yaml, which kfold takes."""

from raytrain.commands.kfold import tell_ensemble, tell_report
from raytrain.commands.shared import AS_PROGRAM, Named, config_parser, describe, job_console
from raytrain.config.load import load_config
from raytrain.messages import shell_word

EXAMPLES = """{sweep} data.path=train.csv name=search sweep.num_trials=20
{sweep} --config my.yaml sweep.then=kfold
ray job submit --working-dir . -- {sweep} --config my.yaml"""
WHEN_INTERRUPTED = "trials that ended are kept: run the same command again to go on"


def main(arguments: list[str] | None = None, named: Named = AS_PROGRAM) -> None:
    """Parses, searches, and says where the best config lies; trains it in full where that is asked."""
    options = config_parser(describe(__doc__, EXAMPLES, named), named("sweep")).parse_intermixed_args(
        arguments
    )
    config = load_config(options.config, options.overrides)
    console = job_console()
    from raytrain.sweep.driver import run_sweep

    best = run_sweep(config, console)
    path = f"{config.storage.rstrip('/')}/{config.name}/best.yaml"
    console.print(f"best config: {path}", highlight=False, markup=False, soft_wrap=True)
    if config.sweep.then is None:
        line = f"train it in full: {named('kfold')} --config {shell_word(path)}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
        return
    from raytrain.crossval.driver import train_run

    train_run(best, console)
    tell_report(best, console)
    tell_ensemble(best, console, named)
