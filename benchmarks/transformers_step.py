"""The peer of step.py: a fine-tuning step of transformers' model of the same shape; on a GPU also compiled.

In a process of its own, for TensorFlow and PyTorch need not get on in one.
"""

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from fold_loop import NOT_INSTALLED, encoder_config
from processes import median_seconds

try:
    import torch
    from transformers_loop import build_model
except ImportError as error:
    print(f"torch and transformers are needed and one is not installed: {error}", file=sys.stderr)
    sys.exit(NOT_INSTALLED)


def build_step(options: argparse.Namespace, device: str, compiled: bool) -> Callable[[], float]:
    """One update: attention by SDPA, AdamW as one kernel on a GPU, bfloat16 by autocast."""
    model = build_model(options.encoder).to(device).train()
    forward = torch.compile(model) if compiled else model
    optimizer = torch.optim.AdamW(model.parameters(), 1e-5, fused=device == "cuda")
    config = json.loads(encoder_config(options.encoder).read_text(encoding="utf-8"))
    shape = (options.batch_size, options.length)
    token_ids = torch.randint(5, config["vocab_size"], shape, device=device)
    mask = torch.ones_like(token_ids)
    labels = torch.arange(options.batch_size, device=device) % 2

    def step() -> float:
        with torch.autocast(device, torch.bfloat16, enabled=options.precision == "bfloat16"):
            loss = forward(input_ids=token_ids, attention_mask=mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return float(loss)

    return step


def profile(step: Callable[[], Any]) -> dict[str, float]:
    """Kernels and copies of one step on the card, and the milliseconds that the card was busy with them."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        step()
    events = [e for e in profiler.events() if e.device_type == torch.autograd.DeviceType.CUDA]
    busy = sum(event.device_time_total for event in events) / 1e3
    return {"launches": len(events), "busy_ms": round(busy, 3)}


def measure(options: argparse.Namespace, device: str, compiled: bool) -> dict[str, float]:
    step = build_step(options, device, compiled)
    figures: dict[str, float] = {"seconds": median_seconds(step, options.repeats, options.warm_ups)}
    if device == "cuda":
        figures["peak_mb"] = torch.cuda.max_memory_allocated() / 2**20
        figures |= profile(step)
        torch.cuda.reset_peak_memory_stats()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", required=True, metavar="DIR")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    for name in ("batch-size", "length", "threads", "repeats", "warm-ups"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_float32_matmul_precision("high")  # TF32 on a GPU, as TensorFlow takes it there
    device = "cuda" if torch.cuda.is_available() else "cpu"
    figures = {"transformers": measure(options, device, compiled=False)}
    if device == "cuda":
        figures["transformers, compiled"] = measure(options, device, compiled=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
