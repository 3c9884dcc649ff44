"""Lists, fetches and shows the encoders that a run can start from by name."""

import sys

from raytrain.commands.program import AS_SCRIPT, run_command

if __name__ == "__main__":
    sys.exit(run_command("checkpoints", sys.argv[1:], AS_SCRIPT))
