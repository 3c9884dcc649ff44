"""Trains ten folds and leaves one ensemble artifact; without arguments, on the bundled example."""

import sys

from raytrain.commands.program import AS_SCRIPT, run_command

if __name__ == "__main__":
    sys.exit(run_command("kfold", sys.argv[1:], AS_SCRIPT))
