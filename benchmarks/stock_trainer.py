"""The peer of fixed_cost.py: each fold by Ray's stock TensorflowTrainer, as many at once as there are cores.

The same model, rows, epochs and evaluation as our job's; Keras fit instead of our training step.
"""

import argparse
import csv
import json
import logging
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import ray
import ray.train
from ray.train.tensorflow import TensorflowTrainer

from raytrain.pretrained.directory import read_encoder
from raytrain.splits.assign import assign_folds
from raytrain.text.encode import build_features, encode_texts


def train_fold(loop_config: dict) -> None:
    """The training function that a worker runs."""
    import tensorflow as tf

    from raytrain.network.build import build_model
    from raytrain.text.batches import FeatureRows

    data = ray.get(loop_config["data"])
    features, labels = FeatureRows(data["features"]), data["labels"]
    train_rows, valid_rows = loop_config["train_rows"], loop_config["valid_rows"]
    keras = tf.keras
    model = build_model(**data["model"], seed=loop_config["seed"])
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.legacy.Adam(data["learning_rate"]), loss)
    for epoch in range(data["epochs"]):
        model.fit(features.collate(train_rows), labels[train_rows], data["batch_size"], verbose=0)
        logits = model.predict(features.collate(valid_rows), verbose=0)[:, 0]
        accuracy = float(((logits > 0) == labels[valid_rows]).mean())
        with tempfile.TemporaryDirectory() as directory:
            model.save_weights(f"{directory}/model.weights.h5")
            np.save(f"{directory}/logits.npy", logits)
            checkpoint = ray.train.Checkpoint.from_directory(directory)
            ray.train.report({"epoch": epoch + 1, "accuracy": accuracy}, checkpoint=checkpoint)


def run_fold(fold: int, shared: ray.ObjectRef, assigned: np.ndarray, options: argparse.Namespace) -> float:
    """Runs a fold to its end; returns its valid accuracy."""
    trainer = TensorflowTrainer(
        train_fold,
        train_loop_config={
            "data": shared,
            "train_rows": np.flatnonzero(assigned != fold),
            "valid_rows": np.flatnonzero(assigned == fold),
            "seed": options.seed + fold,
        },
        scaling_config=ray.train.ScalingConfig(num_workers=1, resources_per_worker={"CPU": 1}),
        run_config=ray.train.RunConfig(name=f"fold-{fold:02d}", storage_path=options.storage),
    )
    return (trainer.fit().metrics or {})["accuracy"]


def read_inputs(options: argparse.Namespace) -> tuple[dict, np.ndarray]:
    """What all folds share, and the fold of every row."""
    with Path(options.data).open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    names = sorted({row["label"] for row in rows})
    labels = np.array([names.index(row["label"]) for row in rows])
    encoder = read_encoder(options.encoder, False, options.maxlen)
    encoded = encode_texts([row["text"] for row in rows], None, encoder.vocab, options.maxlen, False)
    shared = {
        "features": build_features(encoded, []),
        "labels": labels,
        "epochs": options.epochs,
        "batch_size": options.batch_size,
        "learning_rate": options.learning_rate,
        "model": {
            "architecture": "finetune",
            "kind": encoder.kind,
            "config": encoder.config,
            "num_labels": 2,
            "embedding": (2, 1),
            "train_encoder": True,
            "dropout": 0.1,
        },
    }
    return shared, assign_folds(labels, options.num_folds, 1, options.seed)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "encoder", "storage"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("num-folds", "epochs", "maxlen", "batch-size", "seed"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--learning-rate", type=float, required=True)
    options = parser.parse_args()
    shared, assigned = read_inputs(options)
    ray.init(address="local", log_to_driver=False, logging_level=logging.ERROR)
    reference = ray.put(shared)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        accuracies = list(
            pool.map(lambda fold: run_fold(fold, reference, assigned, options), range(options.num_folds))
        )
    print(json.dumps({"folds": len(accuracies), "mean_accuracy": float(np.mean(accuracies))}))


if __name__ == "__main__":
    main()
