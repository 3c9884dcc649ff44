"""Texts to the ids that an exported model reads, and its probabilities to labels; it stands by itself.

It needs NumPy, and as export.json says tokenizers or sentencepiece, and jieba where the model reads words.
"""

import contextlib
import json
import threading
import unicodedata
from pathlib import Path

import numpy as np

PAD, UNKNOWN_WORD, FIRST_WORD = 0, 1, 2  # of ids: padding; of words also the unknown one, and the first
TEXTS_AT_ONCE = 4096  # that are tokenized: what is laid out of them is in memory
_JIEBA = threading.Lock()


class Reader:
    """Reads texts as the folder of an export says.

    Args:
        folder: Where export.json lies.

    Attributes:
        description: What stands in export.json.
        labels: Of the model, in order.
    """

    def __init__(self, folder):
        self.description = json.loads((Path(folder) / "export.json").read_text(encoding="utf-8"))
        self.labels, self._reading = self.description["labels"], self.description["reading"]
        self._inputs = {entry["name"] for entry in self.description["inputs"]}
        told = self.description["tokenizer"]
        kind = {"wordpiece": WordPiece, "sentencepiece": SentencePiece}[told["kind"]]
        self._tokenizer = kind(Path(folder), told)
        self._cls, self._sep = told["special"]["[CLS]"], told["special"]["[SEP]"]
        self._words = Words(Path(folder), self.description["words"]) if "word_ids" in self._inputs else None

    def predict(self, texts, run, pairs=None, most_tokens=4096):
        """(texts, labels) probabilities.

        Args:
            texts: A list of texts.
            run: What is given a dict of arrays, the model's inputs, and returns its probabilities.
            pairs: The second texts of a model that reads pairs.
            most_tokens: Of a batch, with padding; one text may have more.
        """
        proba = np.zeros((len(texts), len(self.labels)))
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            part = slice(start, start + TEXTS_AT_ONCE)
            for places, inputs in self.batches(texts[part], pairs and pairs[part], most_tokens):
                proba[start + np.array(places)] = run(inputs)
        return proba

    def decide(self, proba):
        """The label of each row of probabilities: the most probable, or of the least cost."""
        costs = self.description["costs"]
        best = proba.argmax(axis=1) if costs is None else (proba @ np.array(costs)).argmin(axis=1)
        return [self.labels[index] for index in best]

    def batches(self, texts, pairs=None, most_tokens=4096):
        """Yields which texts, of like length, stand in a batch, and the model's inputs for them."""
        rows = self.rows(texts, pairs)
        size = [max(len(row[0]) for row in own) for own in rows]
        order, start = sorted(range(len(rows)), key=lambda text: -size[text]), 0
        while start < len(order):
            count, held = 0, 0
            while start + count < len(order):
                held += len(rows[order[start + count]])
                if count and held * size[order[start]] > most_tokens:
                    break
                count += 1
            places = order[start : start + count]
            yield places, self._lay([rows[place] for place in places])
            start += count

    def rows(self, texts, pairs=None):
        """Of each text its rows, several where it is read in windows: token ids, segment ids, words."""
        if self._reading["pairs"] != (pairs is not None):
            raise ValueError("expected pairs where the model reads pairs, and none where it does not")
        first = self._tokenizer.tokenize(texts)
        if pairs is None:
            most = most_kept(self._reading["maxlen"] - 2, self._reading["windows"])
            return [self._windows(*parts, most) for parts in zip(texts, first, strict=True)]
        second = self._tokenizer.tokenize(pairs)
        return [[self._pair(*parts)] for parts in zip(texts, pairs, first, second, strict=True)]

    def _windows(self, text, tokens, most):
        kept, room = keep_ends(tokens, most, self._reading["truncate"]), self._reading["maxlen"] - 2
        words, rows = self._words_of(text, kept), []
        for start, end in windows_of(len(kept), room):
            ids = [self._cls, *(token[0] for token in kept[start:end]), self._sep]
            rows.append((ids, [0] * len(ids), [None, *words[start:end], None]))
        return rows

    def _pair(self, text, pair, first, second):
        room, truncate = self._reading["maxlen"] - 3, self._reading["truncate"]
        most = min(len(first), max(room - len(second), room // 2))  # on a tie the first loses
        first = keep_ends(first, most, truncate)
        second = keep_ends(second, min(len(second), room - most), truncate)
        ids = [
            self._cls,
            *(token[0] for token in first),
            self._sep,
            *(token[0] for token in second),
            self._sep,
        ]
        segments = [0] * (len(first) + 2) + [1] * (len(second) + 1)
        words = [None, *self._words_of(text, first), None, *self._words_of(pair, second), None]
        return ids, segments, words

    def _words_of(self, text, tokens):
        """The word that covers the first character of each token; None for a blank."""
        if self._words is None or not tokens:
            return [None] * len(tokens)
        covering = self._words.cut(text[: tokens[-1][2]])
        return [covering[begin] if begin < len(covering) else None for _, begin, _ in tokens]

    def _lay(self, texts):
        """Rows of several texts as arrays, padded with 0."""
        rows = [row for text in texts for row in text]
        shape = len(rows), max(len(ids) for ids, _, _ in rows)
        laid = {name: np.zeros(shape, np.int32) for name in ("token_ids", "segment_ids", "word_ids")}
        numbers, vectors = {}, []
        if self._words is not None:
            met = dict.fromkeys(word for row in rows for word in row[2] if word is not None)
            numbers, vectors = self._words.number(met)
        for place, (ids, segments, words) in enumerate(rows):
            laid["token_ids"][place, : len(ids)] = ids
            laid["segment_ids"][place, : len(ids)] = segments
            laid["word_ids"][place, : len(ids)] = [numbers.get(word, UNKNOWN_WORD) for word in words]
        laid["text_of_row"] = np.repeat(np.arange(len(texts), dtype=np.int32), [len(text) for text in texts])
        laid["new_word_vectors"] = vectors
        return {name: values for name, values in laid.items() if name in self._inputs}


def most_kept(room, windows):
    """How many tokens so many windows of `room` hold, of which each but the first repeats a quarter."""
    return room + (windows - 1) * stride(room)


def stride(room):
    """How far a window of `room` tokens begins behind the one before at most."""
    return max(1, room - int(room * 0.25))


def keep_ends(tokens, most, truncate):
    """What is kept of a text: of a longer one its head, its tail, or a quarter of the room from its head."""
    if len(tokens) <= most:
        return tokens
    head = {"head": most, "tail": 0, "head_tail": -(-most // 4)}[truncate]
    return tokens[:head] + tokens[len(tokens) - (most - head) :]


def windows_of(size, room):
    """Where the windows of a text of `size` tokens begin and end, spread evenly."""
    beyond = max(size - room, 0)
    count = 1 + -(-beyond // stride(room))
    starts = [number * beyond // max(count - 1, 1) for number in range(count)]
    return [(start, min(start + room, size)) for start in starts]


class WordPiece:
    """BERT's tokens, by the library tokenizers."""

    def __init__(self, folder, told):
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(folder / told["file"]))

    def tokenize(self, texts):
        """Of each text (id, begin, end) of its tokens, the places of characters."""
        encoded = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [[(n, *place) for n, place in zip(one.ids, one.offsets, strict=True)] for one in encoded]


class SentencePiece:
    """ALBERT's pieces, by the library sentencepiece, as google-research/albert reads texts."""

    def __init__(self, folder, told):
        from sentencepiece import SentencePieceProcessor

        self._lower, self._strips = told["lower"], told["strip_accents"]
        self._processor = SentencePieceProcessor(model_file=str(folder / told["file"]))

    def tokenize(self, texts):
        """Of each text (id, begin, end) of its pieces, the places of characters."""
        return [list(self._pieces(*self._fold(text))) for text in texts]

    def _fold(self, text):
        """Blanks to single spaces, without accents, in lower case; and whence each character is."""
        folded, origin, blank = [], [], -1
        for place, char in enumerate(text):
            if char.isspace():
                blank = place if blank < 0 else blank
                continue
            if blank >= 0 and folded:
                folded.append(" ")
                origin.append(blank)
            blank, kept = -1, char
            if self._strips:
                parts = unicodedata.normalize("NFKD", char)
                kept = "".join(part for part in parts if not unicodedata.combining(part))
            kept = kept.lower() if self._lower and kept == "İ" else kept  # the only one that grows by it
            folded.append(kept)
            origin += [place] * len(kept)
        whole = "".join(folded)
        return whole.lower() if self._lower else whole, [*origin, len(text)]

    def _pieces(self, folded, origin):
        encoded = self._processor.encode([folded], return_type="offset_mapping", num_threads=1)[0]
        found = zip(encoded["ids"], encoded["pieces"], encoded["offsets"], strict=True)
        for number, piece, (begin, end) in found:
            while begin < end and folded[begin] == " ":
                begin += 1
            spans = [(number, begin, end)]
            if len(piece) > 1 and piece[-1] == "," and piece[-2].isdigit():
                spans = self._split_number(piece, begin)
            for part, start, stop in spans:
                yield part, origin[start], origin[stop - 1] + 1 if stop > start else origin[start]

    def _split_number(self, piece, begin):
        """A number with a comma behind it falls into the number's own pieces and the comma."""
        parts = self._processor.encode(piece[:-1].replace("▁", ""), return_type=str)
        if not piece.startswith("▁"):
            parts = parts[1:] if parts[0] == "▁" else [parts[0].removeprefix("▁"), *parts[1:]]
        for part in [*parts, piece[-1]]:
            size = len(part.replace("▁", ""))
            yield self._processor.PieceToId(part), begin, begin + size
            begin += size


class Words:
    """Words by jieba, with the dictionary that the model was trained with."""

    def __init__(self, folder, told):
        import jieba

        jieba.setLogLevel(30)
        self._jieba = jieba
        words = json.loads((folder / told["file"]).read_text(encoding="utf-8"))
        self._numbers = {word: number for number, word in enumerate(words["vocabulary"], start=FIRST_WORD)}
        self._next = FIRST_WORD + len(words["vocabulary"])
        self._cutter = jieba.Tokenizer()
        # Not from the cache that jieba keeps in the shared temporary folder: anyone could have written it.
        self._cutter.FREQ, self._cutter.total = self._cutter.gen_pfdict(self._cutter.get_dict_file())
        self._cutter.initialized = True
        with self._apart(set()):
            for word, frequency, tag in words["dictionary"]:
                self._cutter.add_word(word, frequency, tag)
        self._never = {word for word, frequency, _ in words["dictionary"] if frequency == 0}
        self._characters = {}
        if told["characters"]:
            with np.load(folder / told["characters"], allow_pickle=False) as arrays:
                self._characters = dict(
                    zip(map(chr, arrays["codepoints"].tolist()), arrays["vectors"], strict=True)
                )
        self._columns = len(next(iter(self._characters.values()), []))

    def cut(self, text):
        """The word that covers each character, in lower case; None for a blank."""
        covering = []
        with self._apart(self._never):
            for word in self._cutter.cut(text):
                covering += [None if word.isspace() else word.lower()] * len(word)
        return covering

    @contextlib.contextmanager
    def _apart(self, words):
        """Has jieba, which knows such words for the whole process, cut these alone apart in the block."""
        finalseg = self._jieba.finalseg
        with _JIEBA:
            before, finalseg.Force_Split_Words = finalseg.Force_Split_Words, words
            try:
                yield
            finally:
                finalseg.Force_Split_Words = before

    def number(self, words):
        """Numbers of words; and the vectors of those that the model has none for: of their characters."""
        numbers, vectors = {}, []
        for word in words:
            known = [self._characters[char] for char in word if char in self._characters]
            if word in self._numbers:
                numbers[word] = self._numbers[word]
            elif known:
                numbers[word] = self._next + len(vectors)
                vectors.append(np.mean(known, axis=0))
        return numbers, np.array(vectors, np.float32).reshape(len(vectors), self._columns)
