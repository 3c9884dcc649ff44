"""The peer of step.py: a fine-tuning step of transformers' model of the same shape, compiled on a GPU.

In a process of its own, for TensorFlow and PyTorch need not get on in one.
"""

import argparse
import json
import sys

from fold_loop import NOT_INSTALLED, encoder_config
from processes import median_seconds

try:
    import torch
    from transformers_loop import build_model
except ImportError as error:
    print(f"torch and transformers are needed and one is not installed: {error}", file=sys.stderr)
    sys.exit(NOT_INSTALLED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", required=True, metavar="DIR")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    for name in ("batch-size", "length", "threads", "repeats"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = build_model(options.encoder).to(device).train()
    compiled = torch.compile(model) if device == "cuda" else model
    optimizer = torch.optim.Adam(model.parameters(), 1e-5)
    config = json.loads(encoder_config(options.encoder).read_text(encoding="utf-8"))
    shape = (options.batch_size, options.length)
    token_ids = torch.randint(5, config["vocab_size"], shape, device=device)
    labels = torch.arange(options.batch_size, device=device) % 2

    def step() -> float:
        with torch.autocast(device, torch.bfloat16, enabled=options.precision == "bfloat16"):
            loss = compiled(input_ids=token_ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss)

    print(json.dumps({"seconds": median_seconds(step, options.repeats)}))


if __name__ == "__main__":
    main()
