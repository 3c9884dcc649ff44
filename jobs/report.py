"""Writes the page that tells what a run found, anew."""

import sys

from raytrain.commands.program import AS_SCRIPT, run_command

if __name__ == "__main__":
    sys.exit(run_command("report", sys.argv[1:], AS_SCRIPT))
