"""Lists the texts of a finished run whose label is probably wrong, for a person to correct."""

import sys

from raytrain.commands.program import AS_SCRIPT, run_command

if __name__ == "__main__":
    sys.exit(run_command("suspects", sys.argv[1:], AS_SCRIPT))
