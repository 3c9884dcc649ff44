"""East Asian charsets, told apart by where in their tables a text's characters lie."""

import codecs
import dataclasses
import math

MARGIN = 5.0  # nats by which one charset must lead
BAD_BYTE = 10.0  # nats that a byte which does not decode costs
USUAL_SHARE = 0.95  # of characters of a text in its charset's rows of frequent ones


@dataclasses.dataclass(frozen=True)
class Charset:
    """A charset of East Asia whose double-byte table holds frequent characters in rows of their own.

    Attributes:
        name: As it is told.
        codec: Python's.
        usual: First and last lead bytes of rows of frequent characters.
        marks: First and last lead bytes of rows of punctuation and kana, which are frequent, too.
        least_trail: Of these rows; below it lie later additions.
        num_usual: Characters in these rows.
        num_others: Characters elsewhere.
        prior: Nats that it is ahead of others before the file is seen: texts are Chinese, mostly.
    """

    name: str
    codec: str
    usual: tuple[int, int]
    marks: tuple[int, int]
    least_trail: int
    num_usual: int
    num_others: int
    prior: float

    def likelihood(self, data: bytes) -> float:
        """The log-likelihood of a text; characters are equally frequent within either part of the table."""
        text = codecs.getincrementaldecoder(self.codec)("replace").decode(
            data
        )  # its last character may be cut
        wide = [char for char in text if not char.isascii()]
        num_bad = wide.count("\N{REPLACEMENT CHARACTER}")
        num_usual = sum(self._is_usual(char.encode(self.codec, "ignore")) for char in wide)
        usual, other = USUAL_SHARE / self.num_usual, (1 - USUAL_SHARE) / self.num_others
        unusual = (len(wide) - num_usual) * math.log(other)
        return self.prior + num_usual * math.log(usual) + unusual - BAD_BYTE * num_bad

    def _is_usual(self, code: bytes) -> bool:
        rows = (self.usual, self.marks)
        return (
            len(code) == 2
            and code[1] >= self.least_trail
            and any(first <= code[0] <= last for first, last in rows)
        )


# Level 1 of GB 2312-80 and of JIS X 0208, Big5's 5,401 frequent characters, the Hangul of KS X 1001.
CHARSETS = {
    "gb18030": Charset("GB18030", "gb18030", (0xB0, 0xD7), (0xA1, 0xA3), 0xA1, 4037, 20_000, 9.0),
    "cp950": Charset("Big5", "cp950", (0xA4, 0xC6), (0xA1, 0xA3), 0x40, 5809, 7652, 4.0),
    "cp932": Charset("Shift-JIS", "cp932", (0x88, 0x97), (0x81, 0x83), 0x40, 3300, 3750, 0.0),
    "euc_kr": Charset("EUC-KR", "euc_kr", (0xB0, 0xC8), (0xA1, 0xA3), 0xA1, 2632, 5600, 0.0),
}


def likeliest_charsets(data: bytes) -> list[str]:
    """The likeliest codec of `CHARSETS` for the bytes of a text, and those as likely within `MARGIN`.

    The tables hold frequent characters in rows of their own, so the right one finds nearly all of a text's
    characters there and a wrong one few: no language's dictionary is needed. Some bytes may be bad, and the
    last character may be cut.
    """
    scores = {codec: charset.likelihood(data) for codec, charset in CHARSETS.items()}
    best = max(scores.values())
    return [codec for codec, score in scores.items() if score > best - MARGIN]
