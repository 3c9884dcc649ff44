"""Writes an ensemble so that programs without raytrain predict with it: ONNX, a SavedModel, or weights."""

import sys

from raytrain.commands.program import AS_SCRIPT, run_command

if __name__ == "__main__":
    sys.exit(run_command("export", sys.argv[1:], AS_SCRIPT))
