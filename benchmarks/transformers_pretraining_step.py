"""The peer of pretraining_step.py: a step of transformers' masked language model of the same shape.

In a process of its own, for TensorFlow and PyTorch need not get on in one. As its examples have it: logits at
every position, a loss at the masked ones.
"""

import argparse
import json
import sys
from collections.abc import Callable

from fold_loop import NOT_INSTALLED, encoder_config
from processes import median_seconds

try:
    import torch
    import transformers
except ImportError as error:
    print(f"torch and transformers are needed and one is not installed: {error}", file=sys.stderr)
    sys.exit(NOT_INSTALLED)

MASK, RATE = 4, 0.15


def build_model(directory: str) -> torch.nn.Module:
    """A masked language model of the shape in the directory's config, its weights drawn anew."""
    config = json.loads(encoder_config(directory).read_text(encoding="utf-8"))
    if "embedding_size" in config:
        return transformers.AlbertForMaskedLM(transformers.AlbertConfig(**config))
    return transformers.BertForMaskedLM(transformers.BertConfig(**config))


def build_step(options: argparse.Namespace, device: str) -> Callable[[], float]:
    """One update: attention by SDPA, AdamW as one kernel on a GPU, bfloat16 by autocast."""
    model = build_model(options.encoder).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, weight_decay=0.01, fused=device == "cuda")
    shape = (options.batch_size, options.length)
    token_ids = torch.randint(5, model.config.vocab_size, shape, device=device)
    attended = torch.ones_like(token_ids)

    def step() -> float:
        told = torch.rand(shape, device=device) < RATE
        labels = torch.where(told, token_ids, -100)
        inputs = torch.where(told, MASK, token_ids)
        with torch.autocast(device, torch.bfloat16, enabled=options.precision == "bfloat16"):
            loss = model(input_ids=inputs, attention_mask=attended, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return float(loss)

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", required=True, metavar="DIR")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    for name in ("batch-size", "length", "threads", "repeats", "warm-ups"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_float32_matmul_precision("high")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    step = build_step(options, device)
    print(json.dumps({"transformers": {"seconds": median_seconds(step, options.repeats, options.warm_ups)}}))


if __name__ == "__main__":
    main()
