import pytest

from raytrain.bulk.record import ASKED, Record, mark_of
from raytrain.errors import ArtifactError, ConfigError
from raytrain.storage.directory import Directory

ASKS = {"ensemble": "abc", "columns": None, "format": ".csv"}


def test_what_is_done_is_known_to_the_next_command(tmp_path):
    record = Record(Directory(tmp_path), ASKS)
    assert record.done("a", 10) is None
    record.finish("a", {"bytes": 10, "rows": 3})
    assert Record(Directory(tmp_path), ASKS).done("a", 10) == {"bytes": 10, "rows": 3}


def test_a_file_that_has_changed_since_is_refused(tmp_path):
    record = Record(Directory(tmp_path), ASKS)
    record.finish("a", {"bytes": 10, "rows": 3})
    with pytest.raises(ConfigError, match="expected the 10 bytes that were predicted, found 11"):
        record.done("a", 11)


def test_an_output_of_something_else_is_refused_with_what_differs(tmp_path):
    Record(Directory(tmp_path), ASKS)
    with pytest.raises(ConfigError, match="holds predictions of something else") as raised:
        Record(Directory(tmp_path), {**ASKS, "ensemble": "def", "columns": ["文"]})
    assert raised.value.problems == [
        'ensemble: it was begun with "abc", found "def"',
        'columns: it was begun with null, found ["文"]',
    ]


@pytest.mark.parametrize("content", [b"{", b"[]"])
def test_a_damaged_mark_is_told(tmp_path, content):
    record = Record(Directory(tmp_path), ASKS)
    (tmp_path / mark_of("a")).write_bytes(content)
    with pytest.raises(ArtifactError, match=r"_a\.done\.json"):
        record.done("a", 1)
    (tmp_path / ASKED).write_bytes(content)
    with pytest.raises(ArtifactError, match=r"_asked\.json"):
        Record(Directory(tmp_path), ASKS)
