"""A tagger from Python: invented sentences with places, two folds, and the places in new ones.

There are so few sentences to invent that the same ones lie in both folds: scores of 1 are no sign of quality.
"""

import random
from pathlib import Path

import raytrain

PLACES = ["北京", "上海", "江南镇", "东湖", "白云山", "青石桥"]
SENTENCES = [
    "他昨天到了{}。",
    "{}今天下雨。",
    "我们从{}出发，走到{}。",
    "听说{}的早餐很好吃。",
    "这里没有地名。",
]


def write_corpus(path: Path, num_texts: int) -> None:
    """A character and its tag a line, a blank line between texts."""
    rng = random.Random(0)
    lines = []
    for _ in range(num_texts):
        for number, part in enumerate(rng.choice(SENTENCES).split("{}")):
            if number:
                place = rng.choice(PLACES)
                lines += [f"{char} {'I' if i else 'B'}-LOC" for i, char in enumerate(place)]
            lines += [f"{char} O" for char in part]
        lines.append("")
    path.write_text("\n".join(lines), encoding="utf-8")


data = Path("runs/example-places.bio")
data.parent.mkdir(exist_ok=True)
write_corpus(data, 200)

config = raytrain.load_config(
    task="tag",
    data__path=data,
    name="example-tagger",
    model__architecture="bilstm_crf",
    folds__num_folds=2,
    train__epochs=5,
    train__learning_rate=5e-3,
)
run = raytrain.cross_validate(config)
print({name: round(value, 4) for name, value in run.scores["bilstm_crf"].items()})

for spans in raytrain.load(run.ensemble).predict(["昨天白云山下雨，我们到了东湖。", "今天不出门。"]):
    print([(span["text"], span["type"], round(span["confidence"], 3)) for span in spans])
