"""Predicts a file with an ensemble artifact."""

import sys

from raytrain.commands.program import AS_SCRIPT, run_command

if __name__ == "__main__":
    sys.exit(run_command("predict", sys.argv[1:], AS_SCRIPT))
