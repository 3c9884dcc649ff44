import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.errors import CorpusError
from raytrain.text.dictionary import CUT_AS_JIEBA, finds_uncommon, parse_user_dict, read_user_dict


def write(path, data):
    path.write_bytes(data)
    return str(path)


def test_user_dict_file(tmp_path):
    assert read_user_dict(write(tmp_path / "a.txt", "\ufeff新词 3\n".encode())) == "新词 3\n"


@pytest.mark.parametrize("data", [None, "新词".encode("gb18030")])
def test_unreadable_user_dict_is_named(tmp_path, data):
    path = tmp_path / "user.txt"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(CorpusError, match=r"words\.user_dict: .*user\.txt"):
        read_user_dict(str(path))


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_marks_and_line_ends_of_other_systems_are_read(tmp_path, bom, end):
    text = read_user_dict(write(tmp_path / "a.txt", bom + f"新词 3{end}玛丽·居里 9 nr{end}".encode()))
    words = parse_user_dict(text)
    assert [(w.line, w.word, w.frequency, w.tag) for w in words] == [
        (1, "新词", 3, None),
        (2, "玛丽·居里", 9, "nr"),
    ]


def test_a_dictionary_of_two_bytes_a_character_is_told(tmp_path):
    with pytest.raises(CorpusError, match="zero bytes"):
        read_user_dict(write(tmp_path / "a.txt", "ab 3\n".encode("utf-16-le")))


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
