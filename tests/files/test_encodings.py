import pytest
from text_files import csv_bytes, jsonl_bytes, kinds
from text_files import write_bytes as write

from raytrain.corpus.unlabelled import iter_texts
from raytrain.files.detection import detect_encoding, encoding_line
from raytrain.files.encodings import CHUNK_BYTES, SHOWN_LINES, Problem
from raytrain.files.reading import Reading
from raytrain.files.tables import iter_rows


def read(path, columns=("text",)):
    problems = []
    return list(iter_rows(path, columns, problems)), problems


def values(path):
    rows, problems = read(path)
    assert problems == []
    return [row["text"] for _, row in rows]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030", "gbk"])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".txt"])
def test_encodings(tmp_path, suffix, encoding):
    texts = ["这部电影真好看", "服务太差了", "一般般", "a", "贵"]
    data = {
        ".csv": csv_bytes(texts),
        ".jsonl": jsonl_bytes(texts),
        ".txt": "\n".join(texts).encode(),
    }[suffix]
    path = write(tmp_path / f"a{suffix}", data.decode().encode(encoding))
    assert values(path) == texts


@pytest.mark.parametrize("mark", ["utf-16-le", "utf-16-be"])
def test_utf16_of_either_byte_order(tmp_path, mark):
    path = write(tmp_path / "a.txt", "\ufeff价格公道".encode(mark))
    assert values(path) == ["价格公道"]


def test_broken_utf16_is_reported(tmp_path):
    path = write(tmp_path / "a.txt", "好吃".encode("utf-16") + b"\x00")
    rows, problems = read(path)
    assert rows == []
    assert kinds(problems) == ["encoding"]


@pytest.mark.parametrize("num_texts", [1, 2, 3, 50])
@pytest.mark.parametrize("bad", [b"\xff", b"\xb5", b"\xb5\xe7"])
def test_bad_bytes_in_utf8_name_their_row_and_spoil_no_other(tmp_path, bad, num_texts):
    texts = [f"第{i}条评论写得不错" for i in range(num_texts)]
    lines = csv_bytes(texts).split(b"\r\n")
    lines[1] += bad
    rows, problems = read(write(tmp_path / "a.csv", b"\n".join(lines)))
    assert [(p.kind, p.row) for p in problems] == [("encoding", 2)]
    assert f"0x{bad[0]:02X}" in problems[0].message
    assert [row["text"] for _, row in rows][1:] == texts[1:]


def test_many_undecodable_lines_are_counted(tmp_path):
    good = "这一行没有问题\n".encode()
    path = write(tmp_path / "a.txt", good * 100 + (good[:-1] + b"\xff\n") * 50)
    _, problems = read(path)
    assert len(problems) == SHOWN_LINES + 1
    assert "30 more lines" in problems[-1].message


def test_bad_byte_in_gb18030_names_its_row(tmp_path):
    lines = [text.encode("gb18030") for text in ("房间很干净", "早餐不好吃", "下次还来")]
    lines[1] += b"\xff"
    problems = []
    assert detect_encoding(write(tmp_path / "a.txt", b"\n".join(lines)), problems) is None
    assert [(p.kind, p.row) for p in problems] == [("encoding", 2)]


def test_character_cut_at_the_end_of_the_file_is_reported(tmp_path):
    path = write(tmp_path / "a.txt", "房间很干净\n早餐很好\n再见".encode()[:-1])
    assert [(p.kind, p.row) for p in read(path)[1]] == [("encoding", 3)]


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_characters_across_chunks_are_decoded(tmp_path, monkeypatch, encoding):
    monkeypatch.setattr("raytrain.files.detection.CHUNK_BYTES", 1)
    assert values(write(tmp_path / "a.txt", "很远的地方".encode(encoding))) == ["很远的地方"]


def test_problem_in_one_line():
    problem = Problem("empty_text", 17, "text", "expected a text, found an empty one; fill it in")
    assert str(problem) == "row 17, column text: expected a text, found an empty one; fill it in"
    assert problem.line("train.csv") == (
        "train.csv, row 17, column text: expected a text, found an empty one; fill it in"
    )
    assert Problem("empty_file", None, None, "found nothing").line("a.csv") == "a.csv: found nothing"


TRADITIONAL = "房間很乾淨，服務熱情\n味道奇怪，品質很差，退貨了\n螢幕模糊，價格公道\n"
JAPANESE = "部屋がとても清潔で、サービスも良かった。\n味が変で、もう二度と行きません。\n"
KOREAN = (
    "방이 깨끗하고 서비스가 좋았어요. 맛이 이상하고 다시는 안 갑니다.\n화면이 선명하고 가격도 적당합니다.\n"
)


@pytest.mark.parametrize(
    ("text", "encoding", "name"),
    [(TRADITIONAL, "big5", "Big5"), (JAPANESE, "cp932", "Shift-JIS"), (KOREAN, "euc_kr", "EUC-KR")],
)
def test_other_charsets_are_known_by_their_characters_and_told(tmp_path, text, encoding, name):
    path = write(tmp_path / "a.txt", text.encode(encoding))
    assert values(path) == text.splitlines()
    assert f"read as {name}," in encoding_line(path)


@pytest.mark.parametrize("encoding", ["big5", "gb18030"])
@pytest.mark.parametrize("english", ["nothing but English\n", "nothing but English, "])
def test_a_charset_is_known_however_much_ascii_comes_first(tmp_path, encoding, english):
    before = english * (2 * CHUNK_BYTES // len(english))
    path = write(tmp_path / "a.txt", f"{before.strip()}\n{TRADITIONAL}".encode(encoding))
    assert values(path)[-3:] == TRADITIONAL.splitlines()
    assert ("read as Big5," in encoding_line(path)) == (encoding == "big5")


def test_a_charset_is_known_by_few_characters_in_many_lines(tmp_path):
    text = "".join(f"{'x' * 500_000} {line}\n" for line in TRADITIONAL.splitlines())
    path = write(tmp_path / "a.txt", text.encode("big5"))
    assert values(path) == text.splitlines() and "read as Big5," in encoding_line(path)


def test_a_charset_that_cannot_be_told_is_refused_with_what_to_say(tmp_path):
    _, problems = read(write(tmp_path / "a.txt", "남\n여\n".encode("euc_kr")))
    assert kinds(problems) == ["encoding"]
    for said in ("GB18030 and EUC-KR", "data.encoding=gb18030 or data.encoding=euc_kr", "save it as UTF-8"):
        assert said in problems[0].message


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark(tmp_path, encoding):
    path = write(tmp_path / "a.csv", "text,label\n價格公道,1\n很差,0\n".encode(encoding))
    assert values(path) == ["價格公道", "很差"]


def test_utf8_needs_no_word(tmp_path):
    assert encoding_line(write(tmp_path / "a.txt", TRADITIONAL)) is None


# ── what would be nonsense ─────────────────────────────────────────────────────────────────────────

KANA = "ありがとう,a\nさようなら,b\n"
SIMPLIFIED = "房间很干净，服务热情\n味道奇怪，质量很差，退货了\n屏幕模糊，价格公道\n"


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ("Müller ist größer,gut\n".encode("latin-1"), "data.encoding=latin-1"),
        ("Müller ist größer und schön\nÄpfel\n".encode("cp437"), "Western Europe"),
        ("text\nprice\xa0100\n".encode("latin-1"), ""),
        (b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", "found a PDF"),
        (b"PK\x03\x04\x14\0\x06\0", "zip archive"),
        (SIMPLIFIED.encode("gb18030") + b"a\0b\n", "byte 0x00"),
        (f"{SIMPLIFIED}\ue001\ue002\n".encode("gb18030"), "U+E001, U+E002"),
    ],
)
def test_what_would_be_nonsense_is_refused(tmp_path, data, found):
    rows, problems = read(write(tmp_path / "a.txt", data))
    assert rows == [] and set(kinds(problems)) == {"encoding"} and found in problems[0].message


ODD = ["\u200e", "\u2028", "👨\u200d👩", "\xa0", "\ue001", "\ufeff"]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (KANA, "gb18030"),
        (JAPANESE, "euc_jp"),
        ("好,1\n差,0\n", "gbk"),
        ("褒\n贬\n", "gbk"),
        ("男\n女\n", "gbk"),
        ("A股\nC罗\n", "gbk"),
        ("A和B\n很好\n", "gbk"),
        ("it\u2019s a resum\u00e9, it\u2019s good\n真好\n", "gbk"),
        ("真好😀\n𠮷野家㐂\n", "gb18030"),
        (TRADITIONAL, "gbk"),
        ("正面\n負面\n", "big5"),
        ("男\n女\n", "big5"),
        ("テスト\nカメラ\n", "cp932"),
        (SIMPLIFIED * 20 + "\ue001\n", "gb18030"),
        ("今天天气很好", "utf-16-le"),
        ("今天天气很好", "utf-16-be"),
        ("一", "utf-16"),
        ("你好\n再见\n", "utf-32"),
        *((f"今天天气真的很好\n一家人{odd}好开心\n不好\n", "utf-16-le") for odd in ODD),
        *((f"今天天气真的很好\n一家人{odd}好开心\n不好\n", "utf-16-be") for odd in ODD),
    ],
)
def test_texts_that_people_have_are_read(tmp_path, text, encoding):
    path = write(tmp_path / "a.txt", text.encode(encoding))
    assert values(path) == text.removesuffix("\n").split("\n")


WEIBO = "今天天气真的很好我们一起去公园玩吧大家都说这里的风景不错下次还要再来看看哦真是太开心了"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("".join(f"{WEIBO}{chr(0xE415) if row % 2 else ''}\n" for row in range(300)), "gb18030"),
        ("太喜欢这家店了\U0001fa77\U0001fa77下次还来", "gb18030"),
        ("这家店很好\n我的\ue81e好\n", "gb18030"),
        ("this is good\x08 很好,1\nbad 不好,0", "gbk"),
        ("\x1b[0m好", "gbk"),
        ("\x1b[31merror:\x1b[0m 错\n", "gbk"),
        ("今天很好\n今天不好\n明天很\x7f好\n我们去玩\n大家都说好\n再来\n", "gbk"),
        ("好吃的饭店\0啊", "gbk"),
        ("Mens T恤shirt size 1\n" * 300, "gbk"),
        ("Mens T恤shirt size 1\nLadies A字skirt 1\n" * 150, "gbk"),
        ("Ladies A字skirt 1\n", "gbk"),
        ("x与y\n", "gbk"),
        ("x与y\na和b\n", "gbk"),
        ("Tom和jerry is fun\n", "gbk"),
        ("I爱u\n", "gbk"),
        ("你好\n", "utf-16-le"),
        ("你好吗\n", "utf-16-be"),
        ("PAR10 is no Parquet\n很好\n", "utf-8"),
    ],
)
def test_rare_characters_and_latin_words_do_not_cost_a_sound_file(tmp_path, text, encoding):
    path = write(tmp_path / "a.txt", text.encode(encoding))
    assert values(path) == text.removesuffix("\n").split("\n")


def test_parquet_under_another_name_is_told(tmp_path):
    _, [problem] = read(write(tmp_path / "a.csv", b"PAR1\x15\x04PAR1"))
    assert "found Parquet" in problem.message


def test_big5_of_hong_kong_is_told_with_what_to_say(tmp_path):
    text = "價格公道，服務熱情，房間乾淨\n我哋喺度食嘢嘅㗎\n"
    path = write(tmp_path / "a.txt", text.encode("big5hkscs"))
    _, [problem] = read(path)
    assert "data.encoding=big5hkscs" in problem.message
    [table] = iter_texts(path, ["text"], reading=Reading("big5hkscs"))
    assert table["text"].to_pylist() == text.splitlines()


@pytest.mark.parametrize("encoding", ["gbk", "big5"])
def test_each_phrase_of_chinese_alone_is_read_right_or_refused(tmp_path, encoding):
    phrases = TRADITIONAL.replace("，", "\n").split()
    num_read = 0
    for phrase in phrases:
        rows, problems = read(write(tmp_path / "a.txt", phrase.encode(encoding)))
        assert problems or rows == [(1, {"text": phrase})]
        num_read += not problems
    assert num_read >= 5


@pytest.mark.parametrize("encoding", ["gbk", "big5"])
def test_a_file_of_two_encodings_is_refused_with_a_line_of_each(tmp_path, encoding):
    lines = TRADITIONAL.splitlines(keepends=True)
    data = "".join(lines[:2]).encode() + "".join(lines * 2).encode(encoding)
    _, problems = read(write(tmp_path / "a.txt", data))
    assert kinds(problems) == ["encoding"] and "line 1 is UTF-8, line 3 is not" in problems[0].message


@pytest.mark.parametrize("said", [None, "gb18030", "utf-16-le", "utf-16-be", "utf-8", "utf-32-le"])
@pytest.mark.parametrize("suffix", [".txt", ".bio"])
def test_a_mark_at_the_beginning_is_no_character(tmp_path, said, suffix):
    text = f"\ufeff{SIMPLIFIED}" if suffix == ".txt" else "\ufeff我 O\n们 O\n"
    path = write(tmp_path / f"a{suffix}", text.encode(said or "gb18030"))
    [table] = iter_texts(path, ["text"], reading=Reading(said))
    assert table["text"][0].as_py() == (SIMPLIFIED.splitlines()[0] if suffix == ".txt" else "我们")


def test_utf16_that_lacks_the_mark_it_is_said_to_have_is_named(tmp_path):
    path = write(tmp_path / "a.txt", SIMPLIFIED.encode("utf-16-be"))
    problems = []
    assert detect_encoding(path, problems, Reading("utf-16")) is None
    assert "data.encoding=utf-16-le or data.encoding=utf-16-be" in problems[0].message


@pytest.mark.parametrize("line_end", [b"\n", b"\r", b"\r\n"])
def test_undecodable_lines_have_their_number_whatever_ends_them(tmp_path, line_end):
    lines = ["甲好".encode(), "乙好".encode(), b"\xff\xfe", "丙好".encode()]
    _, problems = read(write(tmp_path / "a.txt", line_end.join(lines)))
    assert [(problem.kind, problem.row) for problem in problems] == [("encoding", 3)]
