"""Small files of texts."""

import csv
import json


def write(path, content):
    path.write_text(content, encoding="utf-8")
    return path


def write_csv(path, rows, header=("text", "label")):
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path
