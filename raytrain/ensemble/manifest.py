"""What an artifact's manifest.json may say: its types and ranges, checked before anything is built of it."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from raytrain.characters import holds_half
from raytrain.config.defaults import reads_words
from raytrain.config.sections import MOST_WINDOWS, Truncate
from raytrain.config.training import Precision
from raytrain.corpus.tags import tag_names, type_names
from raytrain.fusion.rule import FusionRule, member_name, read_rule
from raytrain.kinds import KINDS
from raytrain.storage.files import is_inside
from raytrain.tasks import ARCHITECTURES, Architecture, Pooling, Task, reads_encoder
from raytrain.text.vocab import Folding

# 1: classifiers without keywords and vectors of characters, 2: with keywords, 3: with these vectors, and
# taggers, 4: with n-grams, and no encoder where there are only they; all are still written of such.
# 5: with long texts cut otherwise than at their end, and other poolings than of the first position.
# 6: with a rule by which members are fused.
# 7: with an encoder of another kind than BERT and ALBERT, or a vocabulary that is not lower-cased.
# 8: with a dictionary whose words hold characters at which jieba cuts, and are found.
SCHEMA_VERSION = 8
WHOLE_WORDS = 8  # older ones are read with a cut at such characters, as they were trained
Count = Annotated[int, Field(ge=0)]
Row = Annotated[int, Field(ge=1)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False, populate_by_name=True)


class FileEntry(_Entry):
    name: str
    bytes: Count
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @field_validator("name")
    @classmethod
    def _inside(cls, name: str) -> str:
        if not is_inside(name):
            raise ValueError(f"{name!r} is not a name inside the ensemble")
        return name


class FoldFile(_Entry):
    file: str
    fold: Count
    repeat: Count
    keywords: str | None = None


class ModelEntry(_Entry):
    """Of `folds.spec.ModelSettings`, what prediction needs; of n-grams that is the number of labels."""

    train_encoder: bool
    embedding: Annotated[tuple[Row, Row], Field(strict=False)]
    num_labels: int = Field(ge=2, alias="num_classes")
    dropout: float = Field(ge=0, lt=1)
    num_keyword_classes: Count = 0
    pooling: Pooling = "first"


class ArchitectureEntry(_Entry):
    model: ModelEntry
    folds: list[FoldFile] = Field(min_length=1)


class FoldingEntry(_Entry):
    """Of `text.vocab.Folding`; artifacts from before it was written are of lower-cased texts."""

    lower: bool = True
    strip_accents: bool = True
    splits_chinese: bool = True

    @property
    def folding(self) -> Folding:
        return Folding(self.lower, self.strip_accents, self.splits_chinese)


class EncoderEntry(_Entry):
    kind: str
    config: str
    vocab: str
    weights: str | None = None
    folding: FoldingEntry = Field(default_factory=FoldingEntry)

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind not in KINDS:
            raise ValueError(f"expected one of {', '.join(KINDS)}; found {kind!r}")
        return kind


class WordsEntry(_Entry):
    vocabulary: str | None = None
    user_dict: str | None = None
    characters: str | None = None


class _DataConfig(_Entry):
    text: str | list[str]
    id: str | None = None

    @property
    def text_columns(self) -> list[str]:
        """One, or two for a text pair."""
        return [self.text] if isinstance(self.text, str) else self.text


class _EncoderConfig(_Entry):
    maxlen: int = Field(ge=4)
    truncate: Truncate = "head"
    windows: int = Field(1, ge=1, le=MOST_WINDOWS)


class _TrainConfig(_Entry):
    precision: Precision = "auto"


class _RunConfig(_Entry):
    """As much of the run's config as prediction reads."""

    data: _DataConfig
    encoder: _EncoderConfig
    train: _TrainConfig = Field(default_factory=_TrainConfig)


class Manifest(_Entry):
    schema_version: int = Field(ge=1)
    task: Task = "classify"
    labels: list[int] | list[str] = Field(min_length=2)
    config: _RunConfig
    encoder: EncoderEntry | None
    words: WordsEntry = Field(default_factory=WordsEntry)
    architectures: dict[Architecture, ArchitectureEntry] = Field(min_length=1)
    files: list[FileEntry]
    fusion: dict[str, Any] | None = None

    @property
    def rule(self) -> FusionRule | None:
        """By which members are fused; None: the mean of architectures, and its most probable label."""
        return None if self.fusion is None else read_rule(self.fusion, len(self.labels))

    @field_validator("words", mode="before")
    @classmethod
    def _no_words(cls, words: Any) -> Any:
        """Artifacts without words have null there."""
        return {} if words is None else words

    @model_validator(mode="after")
    def _consistent(self) -> "Manifest":
        sizes = {entry.name: entry.bytes for entry in self.files}
        encoder, words = self.encoder, self.words
        named = [] if encoder is None else [encoder.config, encoder.vocab, encoder.weights]
        named += [words.vocabulary, words.user_dict, words.characters]
        problems = self._unfit_labels() + self._unfit_fusion()
        if len({entry.model.embedding[1] for entry in self.architectures.values()}) > 1:
            problems.append("its architectures have word embeddings of different widths")
        for name, entry in self.architectures.items():
            named += [name for fold in entry.folds for name in (fold.file, fold.keywords)]
            problems += self._unfit(name, entry) + self._too_large(name, entry, sizes)
        problems += [
            f"names {name}, which is not among its files" for name in named if name and name not in sizes
        ]
        if len(self.config.data.text_columns) > 1 and self.config.encoder.windows > 1:
            problems.append("it cuts texts into windows, but they are pairs")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _unfit_labels(self) -> list[str]:
        names, problems = [str(label) for label in self.labels], []
        if any(map(holds_half, names)):
            problems.append("its labels hold half of a character (a lone surrogate)")
        if len(set(names)) < len(names):
            problems.append(f"its labels repeat themselves: {names[:9]}")
        if self.task == "tag" and names != tag_names(type_names(names)):
            problems.append(f"its labels are not O and a B- and an I- of each type, in order: {names[:9]}")
        return problems

    def _unfit_fusion(self) -> list[str]:
        try:
            rule = self.rule
        except ValueError as error:
            return [f"fusion: {error}"]
        if rule is None:
            return []
        stored = {
            member_name(name, fold.repeat): None
            for name, entry in self.architectures.items()
            for fold in entry.folds
        }
        problems = [f"fusion: a rule of {self.task}"] if self.task != "classify" else []
        if stored.keys() != rule.weights.keys():
            found = f"{', '.join(rule.weights)}; found files of {', '.join(stored)}"
            problems.append(f"fusion: it has the members {found}")
        return problems

    def _unfit(self, name: Architecture, entry: ArchitectureEntry) -> list[str]:
        """What does not fit together in an architecture."""
        problems = []
        if name not in ARCHITECTURES[self.task]:
            problems.append(f"{name} is no architecture of task {self.task}")
        if entry.model.num_labels != len(self.labels):
            problems.append(
                f"{name} has {entry.model.num_labels} classes, but there are {len(self.labels)} labels"
            )
        if reads_encoder(name):
            if self.encoder is None:
                problems.append(f"{name} reads an encoder, but there is none")
            elif not entry.model.train_encoder and self.encoder.weights is None:
                problems.append(f"{name} has a frozen encoder, but the encoder has no weights")
        counted = entry.model.num_keyword_classes
        if counted not in ((0, len(self.labels)) if reads_encoder(name) else (0,)):
            problems.append(f"{name} counts keywords of {counted} classes, not of {len(self.labels)}")
        if any((fold.keywords is not None) != (counted > 0) for fold in entry.folds):
            problems.append(f"{name} counts keywords in some of its folds and not in others, or in none")
        if reads_words(name) and self.words.vocabulary is None:
            problems.append(f"{name} reads words, but there are none")
        return problems

    def _too_large(self, name: Architecture, entry: ArchitectureEntry, sizes: dict[str, int]) -> list[str]:
        """What would take more memory than the file that fills it holds, before that file is read."""
        rows, columns = entry.model.embedding
        parts = {"an embedding": (rows, columns)} if reads_words(name) else {}
        if name.endswith("crf"):
            parts["transitions"] = (len(self.labels), len(self.labels))
        return [
            f"{name} has {part} of {height} × {width}, larger than {fold.file}"
            for fold in entry.folds
            for part, (height, width) in parts.items()
            if 4 * height * width > sizes.get(fold.file, 0)
        ]


def parse_manifest(values: Any) -> tuple[Manifest | None, list[str]]:
    """Validates a parsed manifest.json. Returns it, or None and every problem."""
    try:
        return Manifest.model_validate(values), []
    except ValidationError as error:
        return None, [
            f"manifest.json: {'.'.join(str(part) for part in problem['loc']) or 'as a whole'}: "
            + problem["msg"].removeprefix("Value error, ")
            for problem in error.errors(include_url=False, include_input=False)
        ]
