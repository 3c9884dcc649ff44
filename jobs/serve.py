"""Answers over HTTP with ensemble artifacts, and shows a page to ask them by."""

import sys

from raytrain.commands.program import AS_SCRIPT, run_command

if __name__ == "__main__":
    sys.exit(run_command("serve", sys.argv[1:], AS_SCRIPT))
