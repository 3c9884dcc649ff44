"""Pre-trains an encoder on texts without labels, for jobs/kfold.py to take."""

import sys

from raytrain.commands.program import AS_SCRIPT, run_command

if __name__ == "__main__":
    sys.exit(run_command("pretrain", sys.argv[1:], AS_SCRIPT))
