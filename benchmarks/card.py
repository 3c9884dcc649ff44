"""What a device can do: products of large matrices, and copies of its memory. Prints a JSON line."""

import raytrain  # noqa: F401, I001 (sets the variables that bert4keras needs)

import argparse
import functools
import json
from typing import Any

import tensorflow as tf
from processes import median_seconds

from raytrain.provenance import device_name


def run(function: Any, *arguments: Any) -> None:
    """Runs it and waits until the card is done."""
    function(*arguments).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, required=True, help="of the matrices")
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    figures: dict[str, float | str] = {"what": device_name()}
    for kind, name in (("bfloat16", "bfloat16_tflops"), ("float32", "float32_or_tf32_tflops")):
        matrix = tf.cast(tf.random.normal((options.side, options.side)), kind)
        product = tf.function(lambda matrix: tf.matmul(matrix, matrix)[:1, :1])
        seconds = median_seconds(functools.partial(run, product, matrix), options.repeats)
        figures[name] = 2 * options.side**3 / seconds / 1e12
    source = tf.Variable(tf.zeros((options.side, options.side, 4)))
    copy = tf.function(lambda: source.assign(-source)[:1, :1, :1])
    size = source.shape.num_elements() * 4
    figures["copy_gb_per_second"] = (
        2 * size / median_seconds(functools.partial(run, copy), options.repeats) / 1e9
    )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
