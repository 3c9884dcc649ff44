"""East Asian charsets, told apart by which characters a text would have in them."""

import codecs
import dataclasses
import math
import re
import unicodedata
from collections import Counter
from functools import lru_cache

from raytrain.files.frequent import HANGUL, HANZI, KANA

MARGIN = 5.0  # nats by which one charset must lead
BAD_BYTE = 14.0  # nats that a byte which does not decode costs: more than any character
OTHER_SHARE = 0.05  # of characters of a text outside its charset's rows of frequent ones
ODD_SHARE = 0.01  # of characters of a text beyond ASCII, from which on odd ones are too many
CONTROL_SHARE = 0.1  # of all characters of a text, from which on controls of ASCII are too many
SOUND_SHARE = 0.5  # of characters beyond ASCII, from which on frequent ones say that the charset is right
FREQUENT_A_KIND = 50  # of these, beside which one more kind of private characters may stand
WESTERN_SHARE = 1 / 3  # of letters beyond ASCII, from which on those within Latin words are too many
DOS_END = "\x1a"  # with which DOS ends a file
_KEPT_CONTROLS = f"\t\n\v\f\r{DOS_END}\x1b\x85"
_OF_GBK = re.compile("[\ue766-\ue864]")  # of its own table, where Unicode had none yet
_WESTERN = re.compile("(?<=[A-Za-z])[\u2e80-\U0010ffff](?=[a-z])")


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
        frequent: The most frequent characters of its language.
        frequent_share: Of characters of a text, which these are.
        prior: Nats that it is ahead of others before the file is seen: texts are Chinese, mostly.
    """

    name: str
    codec: str
    usual: tuple[int, int]
    marks: tuple[int, int]
    least_trail: int
    num_usual: int
    num_others: int
    frequent: frozenset[str]
    frequent_share: float
    prior: float

    def likelihood(self, data: bytes) -> float:
        """The log-likelihood of a text; characters are equally frequent within each part of the table."""
        text = codecs.getincrementaldecoder(self.codec)("replace").decode(data)  # the last one may be cut
        frequent = math.log(self.frequent_share / len(self.frequent))
        usual = math.log((1 - OTHER_SHARE - self.frequent_share) / self.num_usual)
        other = math.log(OTHER_SHARE / self.num_others)
        found = self.prior
        for char, count in Counter(text).items():
            if char == "\N{REPLACEMENT CHARACTER}":
                found -= BAD_BYTE * count
            elif not char.isascii():
                is_usual = self.is_usual(char.encode(self.codec, "ignore"))
                found += count * (frequent if char in self.frequent else usual if is_usual else other)
        return found

    def is_usual(self, code: bytes) -> bool:
        rows = (self.usual, self.marks)
        return (
            len(code) == 2
            and code[1] >= self.least_trail
            and any(first <= code[0] <= last for first, last in rows)
        )


# Level 1 of GB 2312-80 with its kana, Greek and Cyrillic, and of JIS X 0208, Big5's 5,401 frequent
# characters, the Hangul of KS X 1001.
CHARSETS = {
    charset.codec: charset
    for charset in (
        Charset("GB18030", "gb18030", (0xB0, 0xD7), (0xA1, 0xA7), 0xA1, 4378, 20_000, HANZI | KANA, 0.6, 9.0),
        Charset("Big5", "cp950", (0xA4, 0xC6), (0xA1, 0xA3), 0x40, 5809, 7652, HANZI, 0.6, 4.0),
        Charset("Shift-JIS", "cp932", (0x88, 0x97), (0x81, 0x83), 0x40, 3300, 3750, KANA, 0.5, 0.0),
        Charset("EUC-JP", "euc_jp", (0xB0, 0xCF), (0xA1, 0xA5), 0xA1, 3300, 3750, KANA, 0.5, 0.0),
        Charset("EUC-KR", "euc_kr", (0xB0, 0xC8), (0xA1, 0xA3), 0xA1, 2632, 5600, HANGUL, 0.6, 0.0),
    )
}


def likeliest_charsets(data: bytes) -> list[str]:
    """The likeliest codec of `CHARSETS` for the bytes of a text, and those as likely within `MARGIN`.

    The tables hold frequent characters in rows of their own, so the right one finds nearly all of a text's
    characters there and a wrong one few; of short texts the language's most frequent ones tell more. Some
    bytes may be bad, and the last character may be cut. Those in which the text is the same are one.
    """
    scores = {codec: charset.likelihood(data) for codec, charset in CHARSETS.items()}
    best = max(scores.values())
    likely = [codec for codec, score in scores.items() if score > best - MARGIN]
    return list({data.decode(codec, "replace"): codec for codec in reversed(likely)}.values())[::-1]


def is_of_hong_kong(data: bytes) -> bool:
    """Whether bytes that are no Big5 are Chinese with the characters that Hong Kong has added to it."""
    wide = [char for char in data.decode("big5hkscs", "replace") if not char.isascii()]
    return sum(char in HANZI for char in wide) >= SOUND_SHARE * len(wide)


@lru_cache(maxsize=1 << 17)
def is_odd(char: str) -> bool:
    """Whether texts hardly hold a character: a private or unassigned one, a control, half of a pair.

    Above the basic plane new emoji and hanzi are unassigned until Python knows their Unicode.
    """
    category = unicodedata.category(char)
    if category == "Cn" and char > "\uffff":
        return False
    return category in ("Co", "Cn", "Cc", "Cs") and char not in _KEPT_CONTROLS


def odd_characters(text: str, codec: str) -> list[str]:
    """The characters that speak against how a text was decoded, where they are too many for it.

    Phones wrote emoji as private characters: where most others are frequent ones, few kinds are no fault.
    """
    counts = Counter(text)
    wide = {char: count for char, count in counts.items() if not char.isascii()}
    odd = [char for char in wide if is_odd(char) and not (codec == "gb18030" and _OF_GBK.match(char))]
    num_odd, num_wide = sum(wide[char] for char in odd), sum(wide.values())
    num_frequent = sum(count for char, count in wide.items() if char in CHARSETS[codec].frequent)
    is_sound = num_frequent >= SOUND_SHARE * (num_wide - num_odd) and (
        num_frequent > FREQUENT_A_KIND * (len(odd) - 1)
    )
    found = [] if num_odd <= ODD_SHARE * num_wide or is_sound else odd
    controls = [char for char in counts if char.isascii() and is_odd(char)]
    if sum(counts[char] for char in controls) > max(1, CONTROL_SHARE * len(text)):
        found = found + controls
    return sorted(found, key=text.index)


def is_western(text: str, codec: str) -> bool:
    """Whether East Asian letters stand within Latin words, one by one, as an ü does that is read as one.

    Chinese people write Latin letters beside frequent hanzi (T恤, A和B), whose bytes no two letters have that
    stand beside each other in Western words.
    """
    letters = [char for char in text if char.isalpha() and not char.isascii()]
    within = [char for char in _WESTERN.findall(text) if char.isalpha() and not _is_plain(char, codec)]
    return 0 < len(within) >= WESTERN_SHARE * len(letters)


@lru_cache(maxsize=1 << 17)
def _is_plain(char: str, codec: str) -> bool:
    """Whether a character is frequent, or stands in rows of frequent ones that hold no byte of ASCII."""
    charset = CHARSETS[codec]
    code = char.encode(codec, "ignore")
    return char in charset.frequent or (charset.least_trail >= 0xA1 and charset.is_usual(code))
