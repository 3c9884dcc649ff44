"""What is written in any format comes back, or is refused, or the run says how it was read."""

import csv
import gzip
import io
import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from raytrain.corpus.labelled import read_corpus
from raytrain.corpus.unlabelled import iter_texts
from raytrain.errors import CorpusError

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "gb18030", "big5", "shift_jis", "euc_kr"]
LABELS = ["好", "坏", "01", "1.5", "yes", "null", "a,b", 'x"y', "'"]
# Quotes, separators, line ends of all kinds, blanks, what cannot be seen, and all else but halves of pairs.
characters = st.one_of(
    st.sampled_from('"""\',\t;|\n\r 　\ufeff\u200b\u2028\x85\x0c甲乙丙丁01'),
    st.sampled_from(
        "的一是在不了有和人這中大為上個國我以要他時來用們生到作地於出就分對成會可主發年動同工也能下過子說產種面而方後多定行學法所民得經"
    ),
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
)
# Where a line begins, U+FEFF is a byte order mark.
texts = (
    st.text(characters, min_size=1, max_size=30).filter(str.strip).filter(lambda text: text[0] != "\ufeff")
)
rows = st.lists(st.tuples(texts, st.sampled_from(LABELS)), min_size=4, max_size=12)


def as_separated(rows, delimiter, quoting):
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter, quoting=quoting).writerows([("text", "label"), *rows])
    return buffer.getvalue()


def as_jsonl(rows, ensure_ascii):
    lines = [json.dumps({"text": text, "label": label}, ensure_ascii=ensure_ascii) for text, label in rows]
    return "\n".join(lines)


WRITE = {
    "csv": lambda rows: as_separated(rows, ",", csv.QUOTE_MINIMAL),
    "csv all quoted": lambda rows: as_separated(rows, ",", csv.QUOTE_ALL),
    "tsv": lambda rows: as_separated(rows, "\t", csv.QUOTE_MINIMAL),
    "jsonl": lambda rows: as_jsonl(rows, False),
    "jsonl ascii": lambda rows: as_jsonl(rows, True),
}


def check_read(path, rows, is_certain=True):
    """The same texts and labels, or a refusal; where a file can be read in several ways, it must be told."""
    try:
        corpus = read_corpus(path, ["text"], "label", num_folds=1)
    except CorpusError as error:
        assert error.problems
        return
    labels = [str(corpus.labels[i]) for i in corpus.table["label"].to_pylist()]
    found = list(zip(corpus.table["text"].to_pylist(), labels, strict=True))
    assert found == rows or (corpus.reading and not is_certain)
    unlabelled = [text for table in iter_texts(path, ["text"]) for text in table["text"].to_pylist()]
    assert unlabelled == [text for text, _ in found]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030", "big5", "shift_jis", "euc_kr"]
)
@pytest.mark.parametrize("form", WRITE)
def test_any_corpus_comes_back_from_text(tmp_path, form, encoding):
    path = tmp_path / f"a.{form.split()[0]}.gz"  # bytes that are UTF-8 as well say nothing else

    @settings(max_examples=EXAMPLES)
    @given(rows)
    def check(rows):
        written = [tuple(part.encode(encoding, "ignore").decode(encoding) for part in row) for row in rows]
        text = WRITE[form](written)
        data = text.encode(encoding)
        assume(encoding.startswith("utf") or data.decode(errors="ignore").encode() != data or text.isascii())
        path.write_bytes(gzip.compress(data, 1))
        check_read(path, written, encoding.startswith("utf"))

    check()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "gb18030"])
def test_any_corpus_comes_back_from_tabs_without_quoting(tmp_path, encoding):
    path = tmp_path / "a.tsv"

    @settings(max_examples=EXAMPLES)
    @given(rows)
    def check(rows):
        plain = str.maketrans("", "", "\t\r\n")
        written = [(text.translate(plain), label) for text, label in rows]
        lines = ["text\tlabel", *("\t".join(row) for row in written)]
        path.write_bytes("\n".join(lines).encode(encoding))
        check_read(path, written, is_certain=False)

    check()


@settings(max_examples=EXAMPLES)
@given(rows)
def test_any_corpus_comes_back_from_parquet(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("parquet") / "a.parquet"
    texts, labels = zip(*rows, strict=True)
    pq.write_table(pa.table({"text": texts, "label": labels}), path)
    check_read(path, rows)
