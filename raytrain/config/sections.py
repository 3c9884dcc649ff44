"""The sections of a config: each key's type, range, default and meaning."""

from typing import Annotated, Any, Literal

from omegaconf import OmegaConf
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic.fields import FieldInfo

from raytrain.config.as_typed import held_types, held_values, taken_types
from raytrain.config.hub_address import is_hub_address, parse_hub_address
from raytrain.tasks import Architecture, Monitor, Pooling, reads_encoder

AUTO = "auto"  # of words.keywords
Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, le=1)]
Report = Literal["full", "plain", "none"]
Truncate = Literal["head", "tail", "head_tail"]
MOST_WINDOWS = 1024  # of a text: more than a book has


def yaml_value(value: Any) -> str:
    """A value as YAML writes it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_default=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_boolean_is_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Pydantic takes true, as YAML reads yes and on, for 1."""
        held = held_types(cls.model_fields[str(info.field_name)].annotation)
        wrong = [one for one in held_values(value) if isinstance(one, bool)]
        if wrong and held & {int, float} and bool not in held:
            raise ValueError(f"expected a number; found {yaml_value(wrong[0])}")
        return value


class WholeConfig(Section):
    """A config: keys of its own, and sections of keys."""

    @classmethod
    def sections(cls) -> dict[str, type[BaseModel]]:
        """Its sections by name."""
        return {
            name: field.annotation
            for name, field in cls.model_fields.items()
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        }

    @classmethod
    def keys(cls) -> dict[str, FieldInfo]:
        """Every dotted key, in the order of the config, and its field."""
        sections = cls.sections()
        found: dict[str, FieldInfo] = {}
        for name, field in cls.model_fields.items():
            if name in sections:
                found |= {f"{name}.{key}": leaf for key, leaf in sections[name].model_fields.items()}
            else:
                found[name] = field
        return found

    @classmethod
    def text_keys(cls) -> frozenset[str]:
        """The dotted keys whose values, or those in whose lists, are strings and nothing else."""
        kinds = {key: taken_types(field.annotation) - {type(None)} for key, field in cls.keys().items()}
        return frozenset(key for key, taken in kinds.items() if taken == {str})

    def flat(self) -> dict[str, Any]:
        """Returns every value under its dotted key, in the order of the config."""
        flat: dict[str, Any] = {}
        sections = self.sections()
        for name, value in self.model_dump(mode="json").items():
            own = {f"{name}.{key}": leaf for key, leaf in value.items()} if name in sections else {}
            flat.update(own or {name: value})
        return flat

    def to_yaml(self) -> str:
        return OmegaConf.to_yaml(OmegaConf.create(self.model_dump(mode="json")))


class CheckpointConfig(Section):
    checkpoint: str = Field(
        "mini",
        description="a name that `checkpoints list` shows, hf:ORGANISATION/NAME[@REVISION] of the Hugging "
        "Face hub, a directory, an archive, or mini, which comes with the package",
    )
    pretrained: bool = Field(
        True,
        description="false: the checkpoint's shape and vocabulary, untrained; of mini the shape alone, with "
        "the corpus's vocabulary",
    )
    maxlen: int = Field(128, ge=4, description="longest text in tokens, [CLS] and [SEP] included")

    @field_validator("checkpoint")
    @classmethod
    def _well_named(cls, location: str) -> str:
        if is_hub_address(location):
            parse_hub_address(location)
        return location


class EncoderConfig(CheckpointConfig):
    truncate: Truncate = Field(
        "head",
        description="task=classify: what is kept of a longer text: its head, its tail, or by head_tail a "
        "quarter of the room from the head and the rest from the tail",
    )
    windows: int = Field(
        1,
        ge=1,
        le=MOST_WINDOWS,
        description="task=classify: most windows of maxlen that a longer text is read in, which overlap; "
        "truncate cuts what is longer than they are; not for text pairs",
    )
    adapt: bool = Field(
        False,
        description="pre-train it on the texts of data.path and data.test, never labels, before the folds",
    )
    adapt_epochs: float = Field(10.0, gt=0, description="adapt=true: passes over these texts")


class WordsConfig(Section):
    vectors: str | None = Field(
        None, description="file of word2vec, text or binary (.bin), or GloVe; null: learned from random"
    )
    user_dict: str | None = Field(None, description="extra words for jieba, in its dictionary format")
    keywords: str | None = Field(
        None,
        description="auto: each fold chooses; or a file of the command `keywords` with the words to keep",
    )
    num_keywords: Positive = Field(100, description="most words of each class that keywords=auto keeps")
    dim: Positive = Field(200, description="size of the word embedding where no vectors are given")
    min_count: Positive = Field(2, description="rarer words count as unknown, unless they have a vector")


class ModelConfig(Section):
    architecture: Architecture | list[Architecture] = Field(
        "finetune",
        description="finetune | textcnn | rnn_cnn | tfidf (n-grams, no network), or a list of them to "
        "average; task=tag: bilstm_crf (the default there) | bilstm | crf",
    )
    pooling: Pooling = Field(
        "first",
        description="what finetune reads: the first position, the mean of all, or the first of the last "
        "layers, weighted",
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

    @property
    def has_networks(self) -> bool:
        """Whether anything reads an encoder."""
        return any(reads_encoder(name) for name in self.architectures)


class CacheConfig(Section):
    directory: str | None = Field(
        None, description="of frozen encoders' output; null: RAYTRAIN_HOME, else the user's cache"
    )
    max_gb: float = Field(
        20.0, ge=0, description="bound on it; what does not fit is computed in every step. 0: no cache"
    )


class Autoscaler(Section):
    nodes: Positive
    cpus: Positive
    gpus: int = Field(0, ge=0)


class ClusterConfig(Section):
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
    folds_per_worker: Positive | None = Field(
        None, description="folds that a worker trains before a new one takes its place; null: no bound"
    )
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


class SweepConfig(Section):
    num_trials: Positive = Field(20, description="trials of a sweep; a grid has as many as it has points")
    num_folds: Positive = Field(
        3,
        description="folds that a trial trains: of the run's own the first ones, by folds.time the last ones",
    )
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


class TrackingConfig(Section):
    tensorboard: bool = Field(True, description="event files in the run's folder tensorboard/")
    mlflow: str | None = Field(None, description="an MLflow tracking URI (extra mlflow)")
