"""`python -m raytrain`, which is `raytrain`."""

import sys

from raytrain.commands.program import main

if __name__ == "__main__":
    sys.exit(main())
