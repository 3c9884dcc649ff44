"""Stands for the replicas: answers at once, by rules that a test can foretell."""

from raytrain.errors import InputError
from raytrain.serving.answers import Answer, Facts
from raytrain.serving.app import Service
from raytrain.serving.questions import Limits

TOKEN = "a token of the tests"


class StandIn:
    """A classifier `posts`, whose second label is as probable as a text is long, and a tagger `names`."""

    def __init__(self, labels=("真", "假")):
        self.known = {
            "posts": Facts("classify", labels, False, "v1"),
            "names": Facts("tag", ("LOC", "PER"), False, "v2"),
            "pairs": Facts("classify", labels, True, "v3"),
        }
        self.asked = []
        self.before = None  # awaited before an answer

    async def predict(self, ensemble, texts, pairs):
        facts = self.known[ensemble]
        if facts.pairs != (pairs is not None):
            raise InputError("expected pairs, found none")
        self.asked.append((ensemble, texts, pairs))
        if self.before is not None:
            await self.before()
        if facts.task == "tag":
            spans = [
                {"text": text[1:3], "type": "PER", "start": 1, "end": 3, "confidence": 0.9} for text in texts
            ]
            return Answer(
                facts, [[span] if len(text) > 2 else [] for span, text in zip(spans, texts, strict=True)]
            )
        shares = [min(len(text), 10) / 10 for text in texts]
        return Answer(facts, [(int(share > 0.5), [1 - share, share]) for share in shares])

    async def words(self, ensemble, text, pair):
        parts = [[[char, 0.1 if place % 2 else -0.2] for place, char in enumerate(text)]]
        label = self.known[ensemble].labels[0]
        return {"version": "v1", "label": label, "probability": 0.5, "parts": parts, "is_cut": False}

    async def facts(self, ensemble):
        return self.known[ensemble]


def build_service(digest=None, limits=None, backend=None, names=("posts", "names", "pairs")):
    return Service(backend or StandIn(), list(names), limits or Limits(), digest)
