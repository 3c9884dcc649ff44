"""The sections `train` and `distill` of a config: how a fold's model learns, and a student of an ensemble."""

from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import BeforeValidator, Field, field_validator

from raytrain.config.sections import Positive, Rate, Section, yaml_value
from raytrain.tasks import Adversarial, Monitor, Network

# Keras's name for bfloat16 beside float32 is what older configs say.
Precision = Annotated[
    Literal["auto", "float32", "bfloat16"],
    BeforeValidator(lambda value: "bfloat16" if value == "mixed_bfloat16" else value),
]
Compile = Literal["auto"] | bool
Value = TypeVar("Value")
# One value for all networks of a run, or a mapping from networks to theirs; others have the key's default.
ByNetwork: TypeAlias = Value | dict[Network, Value]
Weight = Annotated[float, Field(le=1e9)]  # beyond it a loss is no finite number any more
Above = Annotated[float, Field(gt=0)]
AtLeast0 = Annotated[float, Field(ge=0)]
LayerDecay = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Decay = Annotated[float, Field(gt=0, lt=1)]


class TrainConfig(Section):
    epochs: ByNetwork[Positive | None] = Field(
        None,
        description="passes over a fold's training rows; null: 3, on a frozen encoder of few rows "
        "as many as make 1,000 updates, 10 at most",
    )
    batch_size: Positive = Field(32, description="texts per step, over all workers of the fold")
    learning_rate: ByNetwork[Rate | None] = Field(
        None,
        description="of the head; null: finetune takes the encoder's, the others 1e-3",
    )
    encoder_learning_rate: ByNetwork[Rate | None] = Field(
        None, description="null: by the encoder's size, from 1e-5 of BERT-base on; 5e-4 where it is untrained"
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
    layer_decay: ByNetwork[LayerDecay] = Field(
        1.0,
        description="factor on the rate of each encoder layer below the last; ALBERT's are one, above its "
        "embeddings",
    )
    adversarial: ByNetwork[Adversarial | None] = Field(
        None,
        description="fgm or pgd: learn each batch again, moved to where its loss rises; twice or four times "
        "the work",
    )
    adversarial_size: ByNetwork[Above] = Field(
        0.01, description="how far it is moved, as a share of what a text's vectors measure"
    )
    r_drop: ByNetwork[AtLeast0] = Field(
        0.0, description="weight of R-Drop: what two dropouts say of a text must agree; twice the work"
    )
    mixup: ByNetwork[AtLeast0] = Field(
        0.0,
        description="of the texts' vectors: alpha of the Beta that the shares are drawn from; 0: none",
    )
    multi_sample_dropout: ByNetwork[Positive] = Field(
        1, description="dropouts under which a classifier's last layers see each text in a step"
    )
    ema: ByNetwork[Decay | None] = Field(
        None, description="decay of the weights' moving average, which is then judged and kept"
    )
    pseudo_labels: float | None = Field(
        None,
        gt=0,
        le=1,
        description="probability from which on a fold's model labels texts of data.test, to learn them, too, "
        "from the beginning; twice the work",
    )
    label_smoothing: ByNetwork[Share] = Field(0.0, description="share of the target spread evenly")
    class_weight: Literal["balanced"] | dict[str, Weight] | None = Field(
        None, description="balanced, or a weight per label, e.g. {rumour: 2.0}"
    )
    precision: Precision = Field(
        "auto",
        description="of products; auto: bfloat16 where the hardware has it, else float32",
    )
    compile: Compile = Field(
        "auto",
        description="by XLA, the encoder's layers, BiLSTMs and the optimizer; auto: on cards, as long as XLA "
        "can; batches then have four lengths at most",
    )
    dropout: ByNetwork[Share] = Field(0.1, description="of the head, before its dense layers")
    encoder_dropout: ByNetwork[Share | None] = Field(
        None,
        description="of the encoder's layers and attention, where it trains; null: as its config says",
    )
    early_stopping: Positive | None = Field(
        None, description="epochs without a better `monitor` after which a fold ends"
    )
    monitor: Monitor = Field("log_loss", description="what plateau, early_stopping and select: best watch")
    select: Literal["last", "best"] = Field(
        "last", description="the epoch whose weights are kept; best makes OOF optimistic"
    )
    restarts: int = Field(
        2,
        ge=0,
        description="how often a fold that learns nothing is begun again with another seed; never in a sweep",
    )

    def of(self, architecture: str) -> dict[str, Any]:
        """Key to value as it is for one architecture.

        Example:
            >>> train = TrainConfig(epochs={"textcnn": 8}, dropout=0.2)
            >>> [train.of(name)["epochs"] for name in ("textcnn", "finetune")]
            [8, None]
        """
        own = {
            key: value.get(architecture, type(self).model_fields[key].default)
            for key, value in self
            if isinstance(value, dict) and key != "class_weight"  # whose keys are labels
        }
        return dict(self) | own

    @field_validator("class_weight", mode="before")
    @classmethod
    def _labels_as_strings(cls, value: Any) -> Any:
        """YAML reads the label 1 as a number."""
        if not isinstance(value, dict):
            return value
        return {yaml_value(label): weight for label, weight in value.items()}


class DistillConfig(Section):
    temperature: float = Field(
        1.0, ge=1, le=100, description="of the teacher's and the student's probabilities that are compared"
    )
    hard: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of the label in a labelled text's loss; the rest is the teacher's",
    )
