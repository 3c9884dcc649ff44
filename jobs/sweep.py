"""Searches for a good config and leaves it as best.yaml, which kfold.py takes."""

import sys

from raytrain.commands.program import AS_SCRIPT, run_command

if __name__ == "__main__":
    sys.exit(run_command("sweep", sys.argv[1:], AS_SCRIPT))
