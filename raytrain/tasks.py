"""What can be learned of texts, which heads there are for it, and what it is scored by."""

from typing import Literal

Task = Literal["classify", "tag"]
Network = Literal["finetune", "textcnn", "rnn_cnn", "bilstm_crf", "bilstm", "crf"]
Architecture = Literal[Network, "tfidf"]
# What each task can build, its default first.
ARCHITECTURES: dict[str, tuple[Architecture, ...]] = {
    "classify": ("finetune", "textcnn", "rnn_cnn", "tfidf"),
    "tag": ("bilstm_crf", "bilstm", "crf"),
}
Adversarial = Literal["fgm", "pgd"]  # how a step finds where its loss rises
Pooling = Literal["first", "mean", "layers"]  # what finetune reads of an encoder
Monitor = Literal["log_loss", "accuracy", "macro_f1", "auc", "precision", "recall", "f1"]
# What each task is scored by, in the order of tables.
TASK_METRICS: dict[str, tuple[str, ...]] = {
    "classify": ("accuracy", "macro_f1", "auc", "log_loss"),
    "tag": ("precision", "recall", "f1", "accuracy", "log_loss"),
}
TITLES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "auc": "AUC",
    "log_loss": "log loss",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
}
LOWER_IS_BETTER = frozenset({"log_loss", "loss"})
# By what a sweep judges, and what is shown while folds train, with its short title.
SWEEP_METRIC: dict[str, Monitor] = {"classify": "macro_f1", "tag": "f1"}
SHOWN_METRIC = {"classify": ("accuracy", "acc"), "tag": ("f1", "F1")}


def reads_encoder(architecture: str) -> bool:
    """Whether it is a network on an encoder's output; tfidf counts the text's own n-grams."""
    return architecture != "tfidf"
