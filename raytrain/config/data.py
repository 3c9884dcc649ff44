"""The sections that say which texts are learned from, how their file is read, and how they are folded."""

import codecs
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from raytrain.config.sections import Positive, Section

DropKind = Literal["empty_text", "missing_label", "malformed_row", "duplicate_id", "rare_class"]
DuplicatePolicy = Literal["keep", "group", "drop"]
Quoting = Literal["auto", "none", "csv"]


def check_encoding(name: str) -> str:
    """The name of an encoding of characters that Python knows. Raises ValueError of any other."""
    try:
        "".encode(codecs.lookup(name).name)  # of codecs that are none of characters, as hex, this fails
    except (LookupError, ValueError):
        raise ValueError(
            f"expected an encoding, as utf-8, gb18030, big5 or utf-16; found {name!r:.40}"
        ) from None
    return name


class FileKeys(Section):
    """How a file is read whose bytes do not tell by themselves."""

    encoding: Annotated[str, AfterValidator(check_encoding)] | None = Field(
        None, description="of its characters, as big5; null: found out, and told where it is not UTF-8"
    )
    quoting: Quoting = Field(
        "auto",
        description="of .csv and .tsv: csv: quotes stand around fields; none: they are characters like any "
        "other; auto: found out",
    )
    columns: list[str] | None = Field(
        None,
        min_length=1,
        description="names of the columns of a .csv, .tsv or .txt without a header, as [text,label]; of .txt "
        "the fields are separated by tabs",
    )

    @model_validator(mode="after")
    def _names_once(self) -> "FileKeys":
        if self.columns is not None and len(set(self.columns)) < len(self.columns):
            raise ValueError(f"columns: expected each name once; found {self.columns}")
        return self


class DataConfig(FileKeys):
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
        "auto",
        description="task=tag: of .bio; bioes by other letters (BMES, BMEWO, BILOU) is read as such; auto: "
        "bioes where a tag ends a span or is one alone (E-, S-)",
    )
    strict: bool = Field(
        True, description="task=tag: refuse an I- that continues no span; false: it begins one"
    )
    id: str | None = Field(None, description="the id column; row number where null")
    labels: str | list[str] | None = Field(
        None,
        description="task=classify: suspects.csv of an earlier run, or any file with the columns id and "
        "new_label, or several: rows take their new label; drop leaves them out",
    )
    test: str | None = Field(None, description="unlabelled rows to predict with the ensemble")
    merge_labels: bool = Field(
        False,
        description="labels, or types of spans, that look alike (case, width, invisible characters, .0) are "
        "one, spelt as most rows have it, of spans as most texts; false: they are refused",
    )
    drop: list[DropKind] = Field(
        [], description="kinds of bad rows to drop (and count in corpus.json) instead of refusing them"
    )

    @model_validator(mode="after")
    def _one_or_two_columns(self) -> "DataConfig":
        if isinstance(self.text, list) and len(self.text) not in (1, 2):
            raise ValueError(f"text takes one column, or two for a text pair; found {len(self.text)}")
        return self

    @property
    def labels_files(self) -> list[str]:
        return [self.labels] if isinstance(self.labels, str) else list(self.labels or [])

    @property
    def text_columns(self) -> list[str]:
        return [self.text] if isinstance(self.text, str) else list(self.text)


class FoldsConfig(Section):
    num_folds: int = Field(10, ge=2, description="each row is valid in one fold, train in the others")
    repeats: Positive = Field(1, description="how often the corpus is folded anew, with another shuffle")
    group: str | None = Field(None, description="column whose equal values never straddle folds")
    duplicates: DuplicatePolicy = Field(
        "group",
        description="texts that are the same but for a few characters: group: they never straddle folds; "
        "drop: the first one alone stays (the others are counted in corpus.json); keep: not looked for",
    )
    time: str | None = Field(
        None,
        description="column of numbers, or of dates and times, in whose order rows are cut into num_folds "
        "+ 1 blocks: the first is in no fold; each fold learns from the blocks before its own alone",
    )
    compare: bool = Field(
        False,
        description="task=classify: TF-IDF + logistic regression under easier folds of the same rows, too: "
        "random ones beside folds in time, else ones that near-duplicates may straddle",
    )
