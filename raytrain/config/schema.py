"""The config of a run: every key with its type, range, default and meaning, in this one place."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from omegaconf import OmegaConf
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from raytrain.tasks import ARCHITECTURES, SWEEP_METRIC, TASK_METRICS, Architecture, Monitor, Task

DropKind = Literal["empty_text", "missing_label", "malformed_row", "duplicate_id", "rare_class"]
AUTO = "auto"  # of words.keywords
Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, le=1)]
Precision = Literal["auto", "float32", "bfloat16", "mixed_bfloat16"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_default=True, allow_inf_nan=False)


def yaml_value(value: Any) -> str:
    """A value as YAML writes it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


class DataConfig(_Section):
    path: str = Field(
        description="labelled texts: .csv .tsv .jsonl .parquet, for task=tag .bio .jsonl .parquet; also .gz "
        ".bz2 .xz .zst"
    )
    text: str | list[str] = Field("text", description="the text column, or two for a text pair")
    label: str = Field("label", description="the label column; strings or integers")
    spans: str = Field(
        "spans", description="task=tag: the column of spans, each {start, end, label}; not of .bio"
    )
    scheme: Literal["auto", "bio", "bioes"] = Field(
        "auto", description="task=tag: of .bio; auto: bioes where a tag begins with E- or S-"
    )
    strict: bool = Field(
        True, description="task=tag: refuse an I- that continues no span; false: it begins one"
    )
    id: str | None = Field(None, description="the id column; row number where null")
    test: str | None = Field(None, description="unlabelled rows to predict with the ensemble")
    drop: list[DropKind] = Field(
        [], description="kinds of bad rows to drop (and count in corpus.json) instead of refusing them"
    )

    @model_validator(mode="after")
    def _one_or_two_columns(self) -> "DataConfig":
        if isinstance(self.text, list) and len(self.text) not in (1, 2):
            raise ValueError(f"text takes one column, or two for a text pair; found {len(self.text)}")
        return self

    @property
    def text_columns(self) -> list[str]:
        return [self.text] if isinstance(self.text, str) else list(self.text)


class FoldsConfig(_Section):
    num_folds: int = Field(10, ge=2, description="each row is valid in one fold, train in the others")
    repeats: Positive = Field(1, description="how often the corpus is folded anew, with another shuffle")
    group: str | None = Field(None, description="column whose equal values never straddle folds")


class EncoderConfig(_Section):
    checkpoint: str = Field(
        "mini",
        description="a name that `checkpoints list` shows, a directory, an archive, or mini (untrained)",
    )
    pretrained: bool = Field(True, description="false: the checkpoint's shape and vocabulary, untrained")
    maxlen: int = Field(128, ge=4, description="longest text in tokens, [CLS] and [SEP] included")


class WordsConfig(_Section):
    vectors: str | None = Field(
        None, description="word2vec text or binary (.bin) file; null: learned from random"
    )
    user_dict: str | None = Field(None, description="extra words for jieba, in its dictionary format")
    keywords: str | None = Field(
        None,
        description="auto: each fold chooses; or a file of the command `keywords` with the words to keep",
    )
    num_keywords: Positive = Field(100, description="most words of each class that keywords=auto keeps")
    dim: Positive = Field(200, description="size of the word embedding where no vectors are given")
    min_count: Positive = Field(2, description="rarer words count as unknown, unless they have a vector")


class ModelConfig(_Section):
    architecture: Architecture | list[Architecture] = Field(
        "finetune",
        description="finetune | textcnn | rnn_cnn, or a list of them to average; task=tag: bilstm_crf (the "
        "default there) | bilstm | crf",
    )
    train_encoder: bool | None = Field(
        None,
        description="null: finetune and task=tag train it, the others freeze it unless it is untrained",
    )

    @model_validator(mode="after")
    def _each_once(self) -> "ModelConfig":
        names = self.architectures
        if not names or len(set(names)) != len(names):
            raise ValueError(f"architecture lists each name once; found {names}")
        return self

    @property
    def architectures(self) -> list[Architecture]:
        if isinstance(self.architecture, list):
            return list(self.architecture)
        return [self.architecture]


class TrainConfig(_Section):
    epochs: Positive = Field(3, description="passes over a fold's training rows")
    batch_size: Positive = Field(32, description="texts per step, over all workers of the fold")
    learning_rate: Rate | None = Field(
        None,
        description="of the head; null: finetune takes the encoder's, the others 1e-3",
    )
    encoder_learning_rate: Rate | None = Field(
        None, description="null: 1e-5 where the encoder is pretrained, 5e-4 where it is not"
    )
    crf_learning_rate: Rate | None = Field(
        None, description="of a CRF's transitions; null: 1e-2, for they would hardly move at an encoder's"
    )
    schedule: Literal["constant", "linear", "cosine", "plateau"] = Field(
        "linear", description="of all learning rates, after the warm-up"
    )
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the steps over which the rates rise")
    weight_decay: float = Field(0.0, ge=0, description="decoupled; not on biases and norms")
    clip_norm: float | None = Field(1.0, gt=0, description="cap on the gradients' global norm")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of the target spread evenly")
    class_weight: Literal["balanced"] | dict[str, float] | None = Field(
        None, description="balanced, or a weight per label, e.g. {rumour: 2.0}"
    )
    precision: Precision = Field(
        "auto",
        description="of products; auto: bfloat16 where the hardware has it, else float32; "
        "mixed_bfloat16: as cards compute bfloat16, on CPUs too",
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="of the head, before its dense layers")
    early_stopping: Positive | None = Field(
        None, description="epochs without a better `monitor` after which a fold ends"
    )
    monitor: Monitor = Field("log_loss", description="what plateau, early_stopping and select: best watch")
    select: Literal["last", "best"] = Field(
        "last", description="the epoch whose weights are kept; best makes OOF optimistic"
    )

    @field_validator("class_weight", mode="before")
    @classmethod
    def _labels_as_strings(cls, value: Any) -> Any:
        """YAML reads the label 1 as a number."""
        if not isinstance(value, dict):
            return value
        return {yaml_value(label): weight for label, weight in value.items()}


class CacheConfig(_Section):
    directory: str | None = Field(
        None, description="of frozen encoders' output; null: RAYTRAIN_HOME, else the user's cache"
    )
    max_gb: float = Field(
        20.0, ge=0, description="bound on it; what does not fit is computed in every step. 0: no cache"
    )


class Autoscaler(_Section):
    nodes: Positive
    cpus: Positive
    gpus: int = Field(0, ge=0)


class ClusterConfig(_Section):
    address: str | None = Field(None, description="of a Ray cluster; null: RAY_ADDRESS, else local Ray")
    gpus_per_fold: float | Literal["auto"] | None = Field(
        None,
        description="per worker; null: 1 where the cluster has GPUs, else 0; fractions pack; "
        "auto: as many share a card as the first fold's peak memory allows",
    )
    cpus_per_fold: Positive | None = Field(
        None, description="per worker; null: an even share of the CPUs, over the folds or the GPUs"
    )
    workers_per_fold: Positive = Field(1, description="data-parallel workers of one fold")
    max_concurrent_folds: Positive | None = Field(None, description="null: as many as fit")
    max_failures: int = Field(2, ge=0, description="retries of a fold run before it is given up")
    time_budget: float | None = Field(
        None,
        gt=0,
        description="seconds after which folds in training stop, are evaluated and committed as they are",
    )
    autoscaler: Autoscaler | None = Field(
        None,
        description="machines that may be added, e.g. {nodes: 10, cpus: 8, gpus: 1}; "
        "null: as in the file that ray up leaves on the head",
    )

    @field_validator("gpus_per_fold", mode="before")
    @classmethod
    def _share_of_a_card(cls, value: Any) -> Any:
        if value in (None, "auto") or (isinstance(value, int | float) and 0 <= value <= 1):
            return value
        raise ValueError(f"expected a number from 0 to 1, auto or null; found {value!r}")


class SweepConfig(_Section):
    num_trials: Positive = Field(20, description="trials of a sweep; a grid has as many as it has points")
    num_folds: Positive = Field(3, description="folds that a trial trains: the first ones of the run's own")
    space: dict[str, Any] = Field(
        {},
        description="config key to a list, {uniform: [a, b]}, {loguniform: [a, b]} or {randint: [a, b]}, "
        "or to one of these for each architecture; learning rates have ranges of their own",
    )
    search: Literal["optuna", "random", "grid"] = Field("optuna", description="which point comes next")
    scheduler: Literal["asha", "median", "none"] = Field(
        "asha", description="which trials are pruned after a fold"
    )
    metric: Monitor = Field(
        "macro_f1", description="mean over a trial's folds by which it is judged; task=tag: f1"
    )
    time_budget: float | None = Field(None, gt=0, description="seconds after which no trial goes on")
    max_concurrent_trials: Positive | None = Field(None, description="null: as many as fit")
    then: Literal["kfold"] | None = Field(None, description="kfold: train the best config in full, too")


class TrackingConfig(_Section):
    tensorboard: bool = Field(True, description="event files in the run's folder tensorboard/")
    mlflow: str | None = Field(None, description="an MLflow tracking URI (extra mlflow)")


class Config(_Section):
    name: str = Field("run", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="run name")
    storage: str = Field("runs", description="a directory or a URI that pyarrow.fs opens (s3://, gs://)")
    seed: int = Field(42, ge=0, lt=2**31 - 10_000, description="fold seed = seed + fold")
    task: Task = Field("classify", description="classify texts, or tag: find spans in them")
    baseline: bool = Field(
        True, description="task=classify: majority guess and TF-IDF + logistic regression, same folds"
    )
    data: DataConfig
    folds: FoldsConfig = FoldsConfig()
    encoder: EncoderConfig = EncoderConfig()
    words: WordsConfig = WordsConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
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

    def flat(self) -> dict[str, Any]:
        """Returns every value under its dotted key, in the order of the config."""
        return flatten(self.model_dump(mode="json"))

    def to_yaml(self) -> str:
        return OmegaConf.to_yaml(OmegaConf.create(self.model_dump(mode="json")))


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
    if task == "tag":
        unread = {
            "data.text": ("one column", data.text, len(data.text_columns) > 1),
            "words.keywords": ("null", config.words.keywords, config.words.keywords is not None),
            "train.class_weight": ("null", train.class_weight, train.class_weight is not None),
            "train.label_smoothing": ("0", train.label_smoothing, train.label_smoothing > 0),
        }
        problems += [
            f"{key}: expected {expected} for task=tag, found {found}"
            for key, (expected, found, is_set) in unread.items()
            if is_set
        ]
    return problems


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns the leaves of nested dicts under dotted keys; an empty dict is a leaf."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value and prefix.count(".") == 0 and key in Config.model_fields:
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
