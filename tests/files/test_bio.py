import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.files.bio import (
    bio_lines,
    first_field,
    is_bio,
    places_line,
    split_line,
    spread_tag,
    write_sentence,
)

characters = st.characters(exclude_characters="\n\r", exclude_categories=["Cs"])
sentences = st.lists(st.tuples(characters, st.sampled_from(["O", "B-LOC", "I-LOC"])), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.bio", True),
        ("A.BIO", True),
        ("a.bio.xz", True),
        ("a.b.bio.gz", True),
        ("bio", False),
        ("a.bio.csv", False),
        ("a.csv.gz", False),
    ],
)
def test_a_name_tells_whether_a_file_is_bio(name, expected):
    assert is_bio(name) == expected


@settings(max_examples=60)
@given(st.lists(sentences, min_size=1, max_size=4))
def test_any_characters_come_back_with_their_tags(tmp_path_factory, texts):
    """Blanks of every kind, and what other tools take for the end of a line, are characters too."""
    path = tmp_path_factory.mktemp("bio") / "a.bio"
    content = "\n".join("".join(f"{char} {tag}\n" for char, tag in text) for text in texts)
    # A file that begins with this character begins with a mark of its encoding, unless one stands before it.
    encoding = "utf-8-sig" if content.startswith("\ufeff") else "utf-8"
    path.write_text(content, encoding=encoding, newline="\n")
    problems = []
    found = list(bio_lines(path, problems))
    assert problems == []
    assert [[split_line(line) for _, line in lines] for lines in found] == texts
    numbered = [number for lines in found for number, _ in lines]
    assert [content.split("\n")[number - 1] for number in numbered] == [
        line for lines in found for _, line in lines
    ]


@pytest.mark.parametrize(
    ("line", "fields", "first"),
    [
        ("北\tB-LOC  ", ("北", "B-LOC"), "北"),
        ("  O", (" ", "O"), " "),
        ("北", None, "北"),
        ("北 B-LOC x", None, "北"),
    ],
)
def test_a_line_has_a_character_and_a_tag(line, fields, first):
    assert split_line(line) == fields
    assert first_field(line) == first


@pytest.mark.parametrize(
    ("tag", "size", "expected"),
    [
        ("O", 3, ["O", "O", "O"]),
        ("B-X", 1, ["B-X"]),
        ("B-X", 3, ["B-X", "I-X", "I-X"]),
        ("I-X", 2, ["I-X", "I-X"]),
        ("E-X", 3, ["I-X", "I-X", "E-X"]),
        ("S-X", 3, ["B-X", "I-X", "E-X"]),
    ],
)
def test_what_stands_in_one_piece_has_its_tag_on_each_character(tag, size, expected):
    assert spread_tag(tag, size) == expected


@settings(max_examples=60)
@given(st.lists(sentences, min_size=1, max_size=4))
def test_written_sentences_come_back(tmp_path_factory, texts):
    """But for line breaks, in whose place a blank stands."""
    path = tmp_path_factory.mktemp("bio") / "a.bio"
    written = [write_sentence("".join(char for char, _ in text), [tag for _, tag in text]) for text in texts]
    path.write_text("".join(written), encoding="utf-8", newline="\n")
    problems = []
    assert [[split_line(line) for _, line in lines] for lines in bio_lines(path, problems)] == texts
    assert problems == []


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_a_line_break_of_a_text_is_written_as_a_blank(end):
    text = f"北{end}京"
    lines = write_sentence(text, ["B-X", *["I-X"] * (len(text) - 1)]).splitlines()
    assert [split_line(line)[0] for line in lines[:-1]] == ["北", *" " * len(end), "京"]


def test_a_text_without_characters_is_no_sentence(tmp_path):
    path = tmp_path / "a.bio"
    path.write_text(write_sentence("", []) + write_sentence("北", ["O"]), encoding="utf-8")
    assert [lines for lines in bio_lines(path, [])] == [[(2, "北 O")]]


@pytest.mark.parametrize("tags", [[], ["O"], ["O"] * 3])
def test_a_sentence_has_a_tag_for_each_character(tags):
    with pytest.raises(ValueError, match="zip"):
        write_sentence("北京", tags)


def test_digits_of_places_in_words_are_taken_off_and_told(tmp_path):
    path = tmp_path / "a.bio"
    path.write_text("官0 B-X\n方1 I-X\n80 O\n\n好0 O\n", encoding="utf-8")
    problems = []
    found = [[split_line(line) for _, line in lines] for lines in bio_lines(path, problems)]
    assert found == [[("官", "B-X"), ("方", "I-X"), ("8", "O")], [("好", "O")]]
    assert "number" in places_line(path) and "but for" not in places_line(path)


def test_places_of_two_digits_are_taken_off(tmp_path):
    path = tmp_path / "a.bio"
    url = "".join(f"{char}{place} O\n" for place, char in enumerate("http://t.cn/1ab0"))
    path.write_text(f"{url}20 O\n11 O\n", encoding="utf-8")
    [lines] = bio_lines(path, [])
    assert "".join(split_line(line)[0] for _, line in lines) == "http://t.cn/1ab021"


def test_lines_without_a_place_stay_and_are_counted(tmp_path):
    path = tmp_path / "a.bio"
    path.write_text("我0 O\n们1 O\n\n" * 60 + "在0 O\nA4 B-X\n纸5 I-X\n好 O\n大7 O\n", encoding="utf-8")
    problems = []
    chars = [split_line(line)[0] for lines in bio_lines(path, problems) for _, line in lines]
    assert chars[-5:] == ["在", "A", "纸", "好", "大"] and problems == []
    assert "but for 1 rows with no such number, the first of them row 184" in places_line(path)


def test_places_behind_some_characters_are_refused(tmp_path):
    path = tmp_path / "a.bio"
    path.write_text("我0 O\n们1 O\n\n" * 6 + "我 O\n们 O\n\n" * 4, encoding="utf-8")
    problems = []
    list(bio_lines(path, problems))
    [problem] = problems
    assert "behind 12 of 20" in problem.message and "in row 19" in problem.message


def test_numbers_among_characters_keep_their_digits(tmp_path):
    path = tmp_path / "a.bio"
    path.write_text("第 O\n80 O\n号 O\n", encoding="utf-8")
    assert [line for lines in bio_lines(path, []) for _, line in lines] == ["第 O", "80 O", "号 O"]
    assert places_line(path) is None


@pytest.mark.parametrize(
    "lines",
    [
        ["30 O", "% O"],
        ["售价", "50", "元", "20"],
        ["10", "20", "30", "40"],
        ["10 O", "21 O"],
        ["T0 O"],
        ["A4 O", "B5 O"],
    ],
)
def test_numbers_of_a_short_file_are_no_places(tmp_path, lines):
    path = tmp_path / "a.bio"
    path.write_text("\n".join(lines), encoding="utf-8")
    problems = []
    assert [line for found in bio_lines(path, problems) for _, line in found] == lines
    assert problems == [] and places_line(path) is None


def test_texts_may_begin_within_a_word_of_places(tmp_path):
    path = tmp_path / "a.bio"
    path.write_text("们1 O\n好0 O\n啊0 O\n\n" + "我0 O\n们1 O\n好0 O\n\n" * 30, encoding="utf-8")
    problems = []
    first, *others = (
        "".join(split_line(line)[0] for _, line in lines) for lines in bio_lines(path, problems)
    )
    assert first == "们好啊" and others == ["我们好"] * 30 and problems == []
    assert "but for" not in places_line(path)


def test_numbers_of_texts_with_places_stay_where_they_go_on_from_nothing(tmp_path):
    path = tmp_path / "a.bio"
    path.write_text("我0 O\n们1 O\n\n" * 60 + "在0 O\n1990 O\n年0 O\n", encoding="utf-8")
    *_, last = bio_lines(path, [])
    assert [split_line(line)[0] for _, line in last] == ["在", "1990", "年"]
    assert "but for 1 rows with no such number, the first of them row 182" in places_line(path)


def test_the_mark_of_a_joined_file_is_no_character(tmp_path):
    path = tmp_path / "a.bio"
    path.write_text("我 O\n\n\ufeff们 O\n\n\ufeff O\n\n\ufeff\n", encoding="utf-8")
    found = [line for lines in bio_lines(path, []) for _, line in lines]
    assert found == ["我 O", "们 O", "\ufeff O"]


@pytest.mark.parametrize("rest", ["\x1a", "\n\x1a", "\n\n\x1a\r\n"])
def test_the_mark_of_dos_s_end_is_no_line(tmp_path, rest):
    path = tmp_path / "a.bio"
    path.write_text(f"我 O\n们 O{rest}", encoding="utf-8")
    problems = []
    assert [line for lines in bio_lines(path, problems) for _, line in lines] == ["我 O", "们 O"]
    assert problems == []
