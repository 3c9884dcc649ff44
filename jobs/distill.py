"""Teaches one small model what a finished run's ensemble says."""

import sys

from raytrain.commands.program import AS_SCRIPT, run_command

if __name__ == "__main__":
    sys.exit(run_command("distill", sys.argv[1:], AS_SCRIPT))
