"""The fold loop with PyTorch and Hugging Face transformers: finetune, one process, fold after fold.

On a GPU where there is one.

The encoder starts from random weights: what a step costs does not depend on their values.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence

import numpy as np
from fold_loop import NOT_INSTALLED, Fold, encoder_config, peer_parser, read_texts, run_folds, say

try:
    import torch
    import transformers
except ImportError as error:
    print(f"torch and transformers are needed and one is not installed: {error}", file=sys.stderr)
    sys.exit(NOT_INSTALLED)


DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def build_model(directory: str) -> torch.nn.Module:
    """A classifier of two classes of the shape in the directory's config, its weights drawn anew."""
    config = json.loads(encoder_config(directory).read_text(encoding="utf-8"))
    config = {key: value for key, value in config.items() if not key.startswith("pooler")}
    config |= {"num_labels": 2, "classifier_dropout_prob": 0.1, "classifier_dropout": 0.1}
    if "embedding_size" in config:
        return transformers.AlbertForSequenceClassification(transformers.AlbertConfig(**config))
    return transformers.BertForSequenceClassification(transformers.BertConfig(**config))


def build_loader(encoded: Sequence[dict], rows: np.ndarray, collate, batch_size: int, shuffle: bool):
    dataset = [encoded[row] for row in rows]
    return torch.utils.data.DataLoader(dataset, batch_size, shuffle, collate_fn=collate)


def train_fold(
    fold: Fold, options: argparse.Namespace, encoded: Sequence[dict], collate, autocast
) -> np.ndarray:
    """Trains a fold, evaluates it after every epoch and saves its weights."""
    torch.manual_seed(fold.seed)
    model = build_model(options.encoder).to(DEVICE)
    optimizer = torch.optim.Adam(model.parameters(), options.learning_rate)
    train = build_loader(encoded, fold.train_rows, collate, options.batch_size, shuffle=True)
    valid = build_loader(encoded, fold.valid_rows, collate, options.batch_size, shuffle=False)
    for epoch in range(options.epochs):
        model.train()
        total = 0.0
        for batch in train:
            optimizer.zero_grad()
            with autocast():
                loss = model(**_on_device(batch)).loss
            loss.backward()
            optimizer.step()
            total += loss.item()
        proba = predict(model, valid, autocast)
        say(f"  epoch {epoch + 1}: loss {total / len(train):.4f}")
    with tempfile.TemporaryDirectory() as directory:
        torch.save(model.state_dict(), f"{directory}/fold-{fold.number}.pt")
    return proba


def predict(model: torch.nn.Module, loader, autocast) -> np.ndarray:
    """(num_rows,) probabilities of label 1."""
    model.eval()
    with torch.inference_mode(), autocast():
        logits = torch.cat([model(**_on_device(batch)).logits.float() for batch in loader])
    return torch.softmax(logits, -1)[:, 1].cpu().numpy()


def _on_device(batch: dict) -> dict:
    return {name: values.to(DEVICE) for name, values in batch.items()}


def main() -> None:
    parser = peer_parser(__doc__, ["finetune"])
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    options = parser.parse_args()
    texts, labels = read_texts(options)
    tokenizer = transformers.BertTokenizerFast(f"{options.encoder}/vocab.txt", do_lower_case=True)
    columns = tokenizer(texts, truncation=True, max_length=options.maxlen)
    encoded = [
        {name: values[row] for name, values in columns.items()} | {"labels": int(label)}
        for row, label in enumerate(labels)
    ]
    collate = transformers.DataCollatorWithPadding(tokenizer)

    def autocast():
        return torch.autocast(DEVICE, torch.bfloat16, enabled=options.precision == "bfloat16")

    run_folds(
        f"transformers {options.precision}",
        options,
        labels,
        lambda fold: train_fold(fold, options, encoded, collate, autocast),
    )


if __name__ == "__main__":
    main()
