"""Searches for a good config and leaves it as best.yaml, which jobs/kfold.py takes.

python jobs/sweep.py data.path=train.csv name=search sweep.num_trials=20
python jobs/sweep.py --config my.yaml sweep.then=kfold
ray job submit --working-dir . -- python jobs/sweep.py --config my.yaml
"""

import sys

from raytrain.commands.shared import config_parser, job_console, run_job
from raytrain.config.load import load_config


def main(arguments: list[str] | None = None) -> None:
    """Parses, searches, and says where the best config lies; trains it in full where that is asked."""
    options = config_parser(__doc__, "jobs/sweep.py").parse_args(arguments)
    config = load_config(options.config, options.overrides)
    console = job_console()
    from raytrain.sweep.driver import run_sweep

    best = run_sweep(config, console)
    path = f"{config.storage.rstrip('/')}/{config.name}/best.yaml"
    lines = f"best config: {path}\ntrain it in full: python jobs/kfold.py --config {path}"
    if config.sweep.then is None:
        console.print(lines, highlight=False, markup=False, soft_wrap=True)
        return
    from raytrain.crossval.driver import cross_validate

    console.print(f"best config: {path}", highlight=False, markup=False, soft_wrap=True)
    cross_validate(best, console)
    ensemble = f"{best.storage.rstrip('/')}/{best.name}/ensemble"
    console.print(f"ensemble: {ensemble}", highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(run_job(main, "trials that ended are kept: run the same command again to go on"))
