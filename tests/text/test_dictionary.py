import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.errors import CorpusError
from raytrain.text.dictionary import (
    CUT_AS_JIEBA,
    dictionary_lines,
    finds_uncommon,
    parse_user_dict,
    read_user_dict,
)


def write(path, data):
    path.write_bytes(data)
    return str(path)


def test_user_dict_file(tmp_path):
    assert read_user_dict(write(tmp_path / "a.txt", "\ufeff新词 3\n".encode())) == "新词 3\n"


@pytest.mark.parametrize("data", [None, b"\xe6\x96\xb0 3\n\xe8\xaf 4\n\xe6\x96\xb0\xe8\xaf\x8d 5\n"])
def test_unreadable_user_dict_is_named(tmp_path, data):
    path = tmp_path / "user.txt"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(CorpusError, match=r"words\.user_dict: .*user\.txt"):
        read_user_dict(str(path))


WORDS = "云计算 100\n区块链 50 n\n停水通知 3\n"


@pytest.mark.parametrize(
    ("encoding", "name"), [("gb18030", "GB18030"), ("utf-16", "UTF-16"), ("utf-16-le", "UTF-16-LE")]
)
def test_a_dictionary_in_another_encoding_is_read_and_told(tmp_path, encoding, name):
    path = write(tmp_path / "a.dict", WORDS.encode(encoding))
    assert read_user_dict(path) == WORDS
    [line] = dictionary_lines(path)
    assert f"words.user_dict: {path}: read as {name}" in line
    assert "data." not in line and "save the file as UTF-8" in line


def test_a_dictionary_in_utf_8_needs_no_word(tmp_path):
    assert dictionary_lines(write(tmp_path / "a.dict", WORDS.encode())) == []


@pytest.mark.parametrize("word", ["ab\u2028cd", "ab\x85cd", "ab\x0bcd"])
def test_lines_end_where_other_files_lines_end(word):
    assert [(w.line, w.word) for w in parse_user_dict(f"{word} 3\n好 4")] == [(1, word), (2, "好")]


@pytest.mark.parametrize(
    "content",
    [
        "云计算,100\n区块链,50\n",
        "云计算,100,n\n",
        "云计算，100，\n",
        "云计算;3\n",
        "C++ 语言, 3\n",
        '["云计算","区块链"]\n',
        '{"云计算": 3}\n',
        '[\n "云计算"\n]\n',
        '[\n "云计算",\n "区块链",\n "好",\n "店"\n]\n',
        '{\n "云计算": 3,\n "区块链": 4,\n "好": 5\n}\n',
        "word,freq\n云计算,100\n区块链,50\n",
    ],
)
def test_files_of_another_form_are_no_dictionaries(tmp_path, content):
    with pytest.raises(CorpusError, match="expected `word") as caught:
        read_user_dict(write(tmp_path / "a.txt", content.encode()))
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("云计算 3\r\n好\r\n\x1a", ["云计算", "好"]),
        ("云计算 3\n好\x7f\n", ["云计算", "好\x7f"]),
        ("云计算 3\nrock\x96roll\n", ["云计算", "rock\x96roll"]),
        ("云计算 3\nPM2,5\nA|1\n好\n", ["云计算", "PM2,5", "A|1", "好"]),
        ("[\n]\n{\n}\n", ["[", "]", "{", "}"]),
        ("好\n[\n]\n{\n", ["好", "[", "]", "{"]),
        ('好\n"好"\n["好"]\n', ["好", '"好"', '["好"]']),
    ],
)
def test_odd_lines_of_a_dictionary_are_words(tmp_path, content, words):
    text = read_user_dict(write(tmp_path / "a.txt", content.encode()))
    assert [word.word for word in parse_user_dict(text)] == words


def test_a_control_is_told_with_its_line(tmp_path):
    with pytest.raises(CorpusError, match=r"line 2: .*control character '\\x02' in .*first of 2 such"):
        read_user_dict(write(tmp_path / "a.txt", "云 3\n好\x02 4\n坏\x03\n".encode()))


@pytest.mark.parametrize(
    "line", ["好" * 200_000, "7" * 200_000, f"好{' ' * 200_000}好", '["' + '"' * 200_000]
)
def test_a_line_may_be_long(tmp_path, line):
    path = write(tmp_path / "a.txt", f"云 3\n{line} 3\n".encode())
    assert len(parse_user_dict(read_user_dict(path))) == 2


@pytest.mark.parametrize("data", [b"PK\x03\x04aa", b"a\0b\n", b"\xed\xa0\x80 3\n"])
def test_what_is_no_text_is_no_dictionary(tmp_path, data):
    with pytest.raises(CorpusError, match=r"is no text|text whose encoding can be told"):
        read_user_dict(write(tmp_path / "a.txt", data))


@pytest.mark.parametrize(
    "line", ["1,000", "一,二", "3,4-二甲基 9", "[转发]", "a,b 3 n", "「好」", "C|D", "GPT-4,5 7"]
)
def test_words_may_hold_marks(tmp_path, line):
    assert len(parse_user_dict(read_user_dict(write(tmp_path / "a.txt", f"{line}\n".encode())))) == 1


def test_a_frequency_without_end_is_none():
    with pytest.raises(CorpusError, match=r"line 1: expected `word"):
        parse_user_dict("云计算 " + "9" * 5000)
    assert parse_user_dict("云计算 " + "9" * 29)[0].frequency == int("9" * 29)


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_marks_and_line_ends_of_other_systems_are_read(tmp_path, bom, end):
    text = read_user_dict(write(tmp_path / "a.txt", bom + f"新词 3{end}玛丽·居里 9 nr{end}".encode()))
    words = parse_user_dict(text)
    assert [(w.line, w.word, w.frequency, w.tag) for w in words] == [
        (1, "新词", 3, None),
        (2, "玛丽·居里", 9, "nr"),
    ]


@pytest.mark.parametrize(
    ("line", "word", "frequency", "tag", "is_guess"),
    [
        ("Edu Trust认证 2000", "Edu Trust认证", 2000, None, False),
        ("Edu Trust认证 2000 nz", "Edu Trust认证", 2000, "nz", False),
        ("leap motion", "leap motion", None, None, True),
        ("leap motion 3", "leap motion", 3, None, False),
        ("leap n", "leap", None, "n", False),
        ("leap 3 motion", "leap", 3, "motion", False),
        ("体感 motion", "体感", None, "motion", False),
        ("iphone 15", "iphone", 15, None, False),
        ("糖类抗原19-9 9999", "糖类抗原19-9", 9999, None, False),
    ],
)
def test_a_word_may_hold_blanks(line, word, frequency, tag, is_guess):
    [found] = parse_user_dict(line)
    assert (found.word, found.frequency, found.tag, found.is_guess) == (word, frequency, tag, is_guess)


@pytest.mark.parametrize("line", ["店 3 n x", "丙丁 三 n", "戊 1 n 多余", "好 3 4", "新 词"])
def test_a_blank_that_may_mean_anything_is_refused(line):
    with pytest.raises(CorpusError) as caught:
        parse_user_dict(f"好\n{line}\n")
    assert caught.value.problems[0].startswith("line 2: expected `word [frequency] [tag]`")


@pytest.mark.parametrize("word", ["玛丽·居里", "《三体》", "β受体", "C/C++", "leap motion", "not'it", "a(b)"])
def test_a_word_that_jieba_cuts_apart_first_is_uncommon(word):
    assert parse_user_dict(f"{word} 3")[0].is_uncommon and finds_uncommon(f"好 3\n{word} 3\n")
    assert not finds_uncommon(f"{word} 0\n") and not finds_uncommon(f"{CUT_AS_JIEBA}{word} 3\n")


@pytest.mark.parametrize("word", ["糖类抗原19-9", "C++", "石景山", "·", "T恤_a.b&c%"])
def test_other_words_are_common(word):
    assert not parse_user_dict(f"{word} 3")[0].is_uncommon
    assert not finds_uncommon(None) and not finds_uncommon(f"{word} 3\n")


@given(
    st.text("玛丽·居里《》Cβ/+-' 3", min_size=1, max_size=9).map(str.strip).filter(bool), st.integers(0, 9)
)
def test_a_word_without_numbers_beside_its_blanks_is_read_back(word, frequency):
    if any(part.isdigit() for part in word.split()):
        return
    [found] = parse_user_dict(f"{word} {frequency} n")
    assert (found.word, found.frequency, found.tag) == (word, frequency, "n")
