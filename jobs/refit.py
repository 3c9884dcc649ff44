"""Trains one model of each architecture of a finished run on all its rows."""

import sys

from raytrain.commands.program import AS_SCRIPT, run_command

if __name__ == "__main__":
    sys.exit(run_command("refit", sys.argv[1:], AS_SCRIPT))
