"""Whatever its bytes are, a file is read or refused in the one family of errors."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.corpus.unlabelled import count_texts
from raytrain.errors import CorpusError

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "40"))
ROWS = 'text,label\n"甲\n""乙""",1\n丙,0\n"丁,戊",1\n'
SOUND = {
    ".csv": ROWS,
    ".tsv": ROWS.replace(",", "\t"),
    ".jsonl": '{"text": "甲", "label": 1}\n{"text": "乙"}\n',
    ".bio": "甲0 B-X\n乙1 I-X\n\n丙0 O\n",
    ".txt": "甲\n乙\n",
}


@st.composite
def damaged(draw, suffix):
    data = bytearray(SOUND[suffix].encode(draw(st.sampled_from(["utf-8", "gb18030", "big5", "utf-16"]))))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data) - 1)) if data else 0
        match draw(st.sampled_from(["cut", "double", "flip"])):
            case "cut":
                del data[at:]
            case "double":
                data[at:at] = data[at : at + draw(st.integers(1, 20))]
            case "flip" if data:
                data[at] ^= draw(st.integers(1, 255))
    return bytes(data)


@pytest.mark.parametrize("suffix", SOUND)
def test_damaged_bytes_end_in_rows_or_in_one_error(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    text = ["text"]

    @settings(max_examples=EXAMPLES)
    @given(damaged(suffix))
    def check(data):
        path.write_bytes(data)
        try:
            num_rows, num_empty = count_texts(path, text)
        except CorpusError as error:
            assert str(error)
        else:
            assert 0 <= num_empty <= num_rows

    check()
