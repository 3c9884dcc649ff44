"""The config of a run: every key with its type, range, default and meaning, in this one place."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field, model_validator

from raytrain.config.as_typed import held_values
from raytrain.config.data import DataConfig, FoldsConfig
from raytrain.config.ensemble import EnsembleConfig
from raytrain.config.names import RunName
from raytrain.config.sections import (
    CacheConfig,
    ClusterConfig,
    EncoderConfig,
    ModelConfig,
    Report,
    SweepConfig,
    TrackingConfig,
    WholeConfig,
    WordsConfig,
    yaml_value,
)
from raytrain.config.training import DistillConfig, TrainConfig
from raytrain.tasks import ARCHITECTURES, SWEEP_METRIC, TASK_METRICS, Task

# What is said of an encoder where there is none.
WITHOUT_ENCODER = {"encoder.adapt": False, "encoder.truncate": "head", "encoder.windows": 1}

# What a tagger has not; it reads texts whole, in as many windows as they need.
OF_CLASSIFIERS: dict[str, Any] = {
    "data.labels": None,
    "encoder.truncate": "head",
    "encoder.windows": 1,
    "words.keywords": None,
    "train.class_weight": None,
    "train.label_smoothing": 0,
    "train.r_drop": 0,
    "train.pseudo_labels": None,
    "train.mixup": 0,
    "train.multi_sample_dropout": 1,
}


class Config(WholeConfig):
    name: RunName = Field("run", description="run name, of a folder; Chinese and blanks may be in it")
    storage: str = Field("runs", description="a directory or a URI that pyarrow.fs opens (s3://, gs://)")
    seed: int = Field(42, ge=0, lt=2**31 - 10_000, description="fold seed = seed + fold")
    task: Task = Field("classify", description="classify texts, or tag: find spans in them")
    baseline: bool = Field(
        True, description="task=classify: majority guess and TF-IDF + logistic regression, same folds"
    )
    report: Report = Field(
        "plain",
        description="report.html at the run's end: plain, full (the worst mistakes with the words that moved "
        "the ensemble, which loads it), or none",
    )
    data: DataConfig
    folds: FoldsConfig = FoldsConfig()
    encoder: EncoderConfig = EncoderConfig()
    words: WordsConfig = WordsConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    ensemble: EnsembleConfig = EnsembleConfig()
    distill: DistillConfig = DistillConfig()
    cache: CacheConfig = CacheConfig()
    cluster: ClusterConfig = ClusterConfig()
    sweep: SweepConfig = SweepConfig()
    tracking: TrackingConfig = TrackingConfig()

    @model_validator(mode="after")
    def _fits_the_task(self) -> "Config":
        """Fills in the task's own defaults, then refuses what is of another task."""
        if "architecture" not in self.model.model_fields_set:
            self.model = self.model.model_copy(update={"architecture": ARCHITECTURES[self.task][0]})
        if "metric" not in self.sweep.model_fields_set:
            self.sweep = self.sweep.model_copy(update={"metric": SWEEP_METRIC[self.task]})
        problems = _of_another_task(self)
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def without_test(self) -> "Config":
        """The same without the texts to predict."""
        return self.model_copy(update={"data": self.data.model_copy(update={"test": None})})

    def without_adapting(self) -> "Config":
        """The same for an encoder that is not to be adapted, or that is so already."""
        return self.model_copy(update={"encoder": self.encoder.model_copy(update={"adapt": False})})


def _of_another_task(config: Config) -> list[str]:
    """What the config asks for that its task does not have."""
    task, train, data = config.task, config.train, config.data
    wanted: list[tuple[str, str, Sequence[str]]] = [
        ("model.architecture", name, ARCHITECTURES[task]) for name in config.model.architectures
    ]
    wanted += [("train.monitor", train.monitor, TASK_METRICS[task])]
    wanted += [("sweep.metric", config.sweep.metric, TASK_METRICS[task])]
    problems = [
        f"{key}: expected {', '.join(known)} for task={task}, found {found}"
        for key, found, known in wanted
        if found not in known
    ]
    keywords = config.words.keywords
    if keywords is not None and not config.model.has_networks:
        expected = "expected null where model.architecture is tfidf alone, which counts none"
        problems.append(f"words.keywords: {expected}; found {keywords}")
    pooling, frozen = config.model.pooling, config.model.train_encoder is False
    if pooling != "first" and "finetune" not in config.model.architectures:
        problems.append(f"model.pooling: expected first where no architecture is finetune; found {pooling}")
    elif pooling == "layers" and frozen:
        problems.append("model.pooling: expected first or mean of a frozen encoder; found layers")
    if len(data.text_columns) > 1 and config.encoder.windows > 1:
        expected = "expected 1 for text pairs, which are read together in one row"
        problems.append(f"encoder.windows: {expected}; found {config.encoder.windows}")
    problems += _of_time(config)
    if train.pseudo_labels is not None:
        problems += _of_pseudo_labels(config)
    if not config.model.has_networks:
        problems += _of_networks(config)
    if task == "tag":
        problems += _of_classifiers(config)
    return problems


def _of_classifiers(config: Config) -> list[str]:
    """What a tagger has not."""
    text, found = config.data.text, config.flat()
    is_one = len(config.data.text_columns) == 1
    problems = [] if is_one else [f"data.text: expected one column for task=tag, found {text}"]
    problems += [
        f"{key}: expected {yaml_value(neutral)} for task=tag, found {found[key]}"
        for key, neutral in OF_CLASSIFIERS.items()
        if any(value != neutral for value in _of_taggers(found[key]))
    ]
    return problems + _of_probabilities(config.ensemble)


def _of_taggers(value: Any) -> list[Any]:
    """A key's values, or those that it has for networks of taggers; of other networks they are not read."""
    if not isinstance(value, dict):
        return held_values(value)
    return [one for name, one in value.items() if name not in ARCHITECTURES["classify"]]


def _of_time(config: Config) -> list[str]:
    """What does not go together with `folds.time`, or is asked for without it."""
    folds, problems = config.folds, []
    if folds.time is not None and folds.repeats > 1:
        expected = "expected 1 with folds.time, for there is one order in time"
        problems.append(f"folds.repeats: {expected}; found {folds.repeats}")
    wanted = {
        "task=classify": config.task == "classify",
        "baseline=true": config.baseline,
        "folds.time or folds.duplicates=group": folds.time is not None or folds.duplicates == "group",
    }
    missing = [what for what, is_there in wanted.items() if not is_there]
    if folds.compare and missing:
        problems.append(f"folds.compare: expected false without {', '.join(missing)}; found true")
    return problems


def _of_probabilities(ensemble: EnsembleConfig) -> list[str]:
    """What is asked of the probabilities of a tagger's ensemble, which averages emissions and transitions."""
    found = dict(ensemble)
    return [
        f"ensemble.{key}: expected {yaml_value(value)} for task=tag, found {yaml_value(found[key])}"
        for key, value in EnsembleConfig()
        if key != "drop_dead" and found[key] != value
    ]


def _of_networks(config: Config) -> list[str]:
    """What is wanted of an encoder where there is none."""
    found = config.flat()
    return [
        f"{key}: expected {yaml_value(expected)} where model.architecture is tfidf alone, "
        f"which has no encoder; found {yaml_value(found[key])}"
        for key, expected in WITHOUT_ENCODER.items()
        if found[key] != expected
    ]


def _of_pseudo_labels(config: Config) -> list[str]:
    """What does not go together with `train.pseudo_labels`."""
    workers, keywords = config.cluster.workers_per_fold, config.words.keywords
    wrong = {
        "data.test: expected a file of unlabelled texts; found null": config.data.test is None,
        f"words.keywords: expected null; found {keywords}": keywords is not None,
        f"cluster.workers_per_fold: expected 1; found {workers}": workers > 1,
        "model.architecture: expected a network; found tfidf alone": not config.model.has_networks,
    }
    return [f"{problem} (train.pseudo_labels)" for problem, is_so in wrong.items() if is_so]
