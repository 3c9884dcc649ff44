"""Finds the words that tell of each class and leaves them as a CSV file for a person to pick from."""

import sys

from raytrain.commands.program import AS_SCRIPT, run_command

if __name__ == "__main__":
    sys.exit(run_command("keywords", sys.argv[1:], AS_SCRIPT))
