"""Makes a vector of each text of a file, for search, clustering or one's own models."""

import sys

from raytrain.commands.program import AS_SCRIPT, run_command

if __name__ == "__main__":
    sys.exit(run_command("embed", sys.argv[1:], AS_SCRIPT))
