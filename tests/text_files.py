"""Small files of texts."""

import csv
import io
import json


def write(path, content):
    path.write_text(content, encoding="utf-8")
    return path


def write_bytes(path, data):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def csv_bytes(texts, delimiter=",", line_end="\r\n"):
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=line_end)
    writer.writerows([["label", "text"], *([str(i), text] for i, text in enumerate(texts))])
    return buffer.getvalue().encode()


def jsonl_bytes(texts, ensure_ascii=False):
    return "".join(json.dumps({"text": text}, ensure_ascii=ensure_ascii) + "\n" for text in texts).encode()


def kinds(problems):
    return [problem.kind for problem in problems]


def places(problems):
    return [(problem.kind, problem.row) for problem in problems]


def write_csv(path, rows, header=("text", "label")):
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path
