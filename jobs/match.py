"""Matches each query with the best of the candidates: questions with answers, a text with its like."""

import sys

from raytrain.commands.program import AS_SCRIPT, run_command

if __name__ == "__main__":
    sys.exit(run_command("match", sys.argv[1:], AS_SCRIPT))
