"""The config of a pre-training: what an encoder learns of texts without labels."""

from pydantic import Field, field_validator

from raytrain.config.data import FileKeys
from raytrain.config.names import RunName
from raytrain.config.sections import CheckpointConfig, Positive, Rate, Section, WholeConfig
from raytrain.config.training import Compile, Precision


class PretrainData(FileKeys):
    path: str | list[str] = Field(
        description="texts: .txt (a text a line) .csv .tsv .jsonl .parquet, also .gz .bz2 .xz .zst; a "
        "file or a list"
    )
    text: str = Field("text", description="the text column; .txt has none")
    held_back: float = Field(
        0.05, ge=0, lt=1, description="share of the texts to evaluate on, by a hash of the text; 0: none"
    )
    max_held_back: Positive = Field(1000, description="most texts of them; the share is smaller then")

    @field_validator("path")
    @classmethod
    def _each_once(cls, path: str | list[str]) -> str | list[str]:
        if isinstance(path, list) and (not path or len(set(path)) < len(path)):
            raise ValueError(f"expected each file once; found {path}")
        return path

    @property
    def paths(self) -> list[str]:
        return [self.path] if isinstance(self.path, str) else list(self.path)


class MaskConfig(Section):
    rate: float = Field(0.15, gt=0, le=0.5, description="share of the tokens that are to be told")
    words: bool = Field(True, description="whole words, jieba's; false: any tokens")
    ngrams: bool = Field(False, description="one to four words together: 40, 30, 20 and 10 %")


class PretrainTrain(Section):
    epochs: float = Field(3.0, gt=0, description="passes over the texts")
    steps: Positive | None = Field(None, description="updates; null: as many as the epochs take")
    batch_size: Positive = Field(32, description="sequences of maxlen tokens per step, over all workers")
    learning_rate: Rate | None = Field(
        None, description="null: by the encoder's size, from 5e-5 of BERT-base on; untrained: twice that"
    )
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the steps over which the rate rises")
    weight_decay: float = Field(0.01, ge=0, description="decoupled; not on biases and norms")
    clip_norm: float | None = Field(1.0, gt=0, description="cap on the gradients' global norm")
    precision: Precision = Field(
        "auto", description="of products; auto: bfloat16 where the hardware has it, else float32"
    )
    compile: Compile = Field(
        "auto", description="by XLA, the encoder's layers and the optimizer; auto: on cards"
    )
    evaluate_every: Positive | None = Field(
        None, description="steps between two looks at the held-back texts; null: a tenth of all steps"
    )
    checkpoint_every: Positive | None = Field(
        None, description="steps between two checkpoints; null: as often as it is evaluated"
    )


class PretrainCluster(Section):
    address: str | None = Field(None, description="of a Ray cluster; null: RAY_ADDRESS, else local Ray")
    workers: Positive = Field(1, description="data-parallel workers")
    gpus_per_worker: float | None = Field(
        None, ge=0, le=1, description="null: 1 where the cluster has GPUs, else 0"
    )
    cpus_per_worker: Positive | None = Field(None, description="null: an even share of the CPUs")
    max_failures: int = Field(2, ge=0, description="failures after which it goes on from its checkpoint")
    time_budget: float | None = Field(
        None, gt=0, description="seconds after which it stops, is evaluated and leaves its encoder as it is"
    )


class PretrainConfig(WholeConfig):
    name: RunName = Field("pretrain", description="run name, of a folder; Chinese and blanks may be in it")
    storage: str = Field("runs", description="a directory or a URI that pyarrow.fs opens (s3://, gs://)")
    seed: int = Field(
        42, ge=0, lt=2**31, description="of the order, the masks, dropout and untrained weights"
    )
    data: PretrainData
    encoder: CheckpointConfig = CheckpointConfig()
    mask: MaskConfig = MaskConfig()
    train: PretrainTrain = PretrainTrain()
    cluster: PretrainCluster = PretrainCluster()
