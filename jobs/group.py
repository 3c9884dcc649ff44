"""Finds groups of texts without labels, and tells what each is about."""

import sys

from raytrain.commands.program import AS_SCRIPT, run_command

if __name__ == "__main__":
    sys.exit(run_command("group", sys.argv[1:], AS_SCRIPT))
