"""A run whose folds are committed by hand, and the ensemble of them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from plain_settings import plain_settings, plain_spec
from tiny_run import silent_stage

from raytrain.config.load import load_config
from raytrain.ensemble.artifact import Ensemble, load_ensemble
from raytrain.ensemble.write import write_ensemble
from raytrain.folds.result import commit_fold, read_fold
from raytrain.folds.spec import FoldData, FoldSpec, ModelSettings, Shared, fold_name
from raytrain.fusion.rule import FusionRule
from raytrain.pretrained.directory import EncoderFiles
from raytrain.splits.folds import Folds
from raytrain.storage.directory import Directory
from raytrain.text.vocab import Vocab

LABELS = ["假", "真"]
TAGS = ["O", "B-X", "I-X"]
VOCAB = ["[PAD]", "[UNK]", "天", "\u2028", "好"]
WORDS = ["天气", "好"]
OOF = pa.table({"id": ["a", "b"], "fold": pa.array([0, 1], pa.int32()), "proba_真": [0.25, 0.75]})
SHARED = Shared(
    encoder=EncoderFiles("albert", {"hidden_size": 8, "hidden_act": "gelu_new"}, Vocab(VOCAB), None),
    features=pa.table({}),
    user_dict="天气 9\n",
    vocabulary=WORDS,
    embedding=None,
    coverage={},
)


class CommittedRun:
    """A run of two texts and two folds, whose weights nobody trained."""

    def __init__(self, location: str | Path):
        self.directory, self.specs = Directory(location), list[FoldSpec]()

    def commit(
        self,
        architecture: str,
        fold: int,
        keywords: np.ndarray | None = None,
        facts: dict[str, Any] | None = None,
        weights: dict[str, np.ndarray] | None = None,
        repeat: int = 0,
        **model: Any,
    ) -> None:
        """Commits a fold whose model differs from a plain one in the settings given."""
        name = f"{architecture}/{fold_name(repeat, fold)}"
        settings = ModelSettings(architecture, "albert", {}, 2, (4, 3), train_encoder=True, dropout=0.25)
        if keywords is not None:
            settings = replace(settings, num_keyword_classes=2)
        spec = plain_spec(
            f"{self.directory}/folds/{name}",
            name=name,
            architecture=architecture,
            fold=fold,
            repeat=repeat,
            settings=plain_settings(),
            model=replace(settings, **model),
            keywords=keywords,
        )
        targets = np.array([0, 1])
        data = FoldData(
            pa.table({}),
            targets,
            pa.array(["a", "b"]),
            embedding=None,
            folds=Folds(np.stack([targets] * (repeat + 1))),
        )
        oof = pa.table({"row": [fold], "id": ["ab"[fold]], "proba_0": [0.5], "proba_1": [0.5]})
        weights = {"logits": np.full(40, fold, np.float32)} if weights is None else weights
        commit_fold(spec, data, weights, oof, {"accuracy": 1.0}, [{"epoch": 1}], 1.5, facts or {})
        self.specs.append(spec)

    def write(
        self,
        shared: Shared = SHARED,
        encoder_weights: dict[str, np.ndarray] | None = None,
        summary: dict[str, Any] | None = None,
        rule: FusionRule | None = None,
        **values: Any,
    ) -> dict[str, Any]:
        """Writes the ensemble of a config of these values. Returns the manifest as it stands there."""
        names = list(dict.fromkeys(spec.architecture for spec in self.specs))
        overrides = ["data.path=a.csv", "name=mine", f"model.architecture=[{','.join(names)}]"]
        config = load_config(None, overrides, **values)
        results = [read_fold(spec.location, spec.identity) for spec in self.specs]
        records = [result.record for result in results if result is not None]
        summary = {"missing": [], "stopped_early": []} | (summary or {})
        labels = TAGS if config.task == "tag" else LABELS
        write_ensemble(
            self.directory / "ensemble",
            config,
            shared,
            labels,
            self.specs,
            records,
            summary,
            OOF,
            encoder_weights,
            silent_stage(),
            rule,
        )
        return dict(json.loads((self.directory / "ensemble").read_bytes("manifest.json")))

    @property
    def ensemble(self) -> str:
        return f"{self.directory}/ensemble"

    def open(self) -> Ensemble:
        return load_ensemble(self.ensemble)
