import json

import numpy as np
import pytest
from safetensors.numpy import save

from raytrain.ensemble.artifact import Ensemble
from raytrain.ensemble.manifest import (
    ArchitectureEntry,
    FileEntry,
    FoldFile,
    Manifest,
    ModelEntry,
    WordsEntry,
)
from raytrain.ensemble.words import ArtifactWords, read_words
from raytrain.errors import ArtifactError
from raytrain.storage.directory import Directory
from raytrain.storage.files import sha256
from raytrain.text.dictionary import finds_uncommon

LABELS = ["好", "坏", "无关"]
WORDS = ["停水", "早餐"]


@pytest.fixture
def read(tmp_path):
    """Reads the words of an artifact whose file of some kind has this content."""
    directory = Directory(tmp_path)

    def make(rows=4, version=8, **contents):
        contents = {"vocabulary": json.dumps(WORDS).encode()} | contents
        for kind, data in contents.items():
            directory.write_bytes(f"words/{kind}", data)
        words = {kind: f"words/{kind}" for kind in contents if kind != "keywords"}
        keywords = "words/keywords" if "keywords" in contents else None
        manifest = Manifest.model_construct(
            schema_version=version,
            labels=LABELS,
            words=WordsEntry(**words),
            architectures={
                "textcnn": ArchitectureEntry.model_construct(
                    folds=[FoldFile(file="a", fold=0, repeat=0, keywords=keywords)],
                    model=ModelEntry.model_construct(embedding=[rows, 2]),
                )
            },
            files=[
                FileEntry.model_construct(name=f"words/{kind}", sha256=sha256(data))
                for kind, data in contents.items()
            ],
        )
        return read_words(Ensemble(directory, manifest))

    return make


def packed(codepoints=(0x6C34, 0x1F4A7), vectors=((1, 2), (3, 4)), kinds=(np.int32, np.float32)):
    return save({"codepoints": np.array(codepoints, kinds[0]), "vectors": np.array(vectors, kinds[1])})


def test_words_characters_and_keywords_are_read(read):
    words = read(characters=packed(), user_dict="停水 9\n".encode(), keywords='{"停水": 2}'.encode())
    assert words.vocabulary == WORDS
    assert words.user_dict == "停水 9\n"
    vectors = {char: vector.tolist() for char, vector in words.characters.items()}
    assert vectors == {"水": [1, 2], "💧": [3, 4]}
    assert words.keywords == {"words/keywords": {"停水": 2}} and words.all_keywords == ["停水"]


def test_new_words_take_the_mean_of_their_known_characters():
    vectors = {"水": np.array([1, 2], np.float32), "停": np.array([3, 6], np.float32)}
    words = ArtifactWords(WORDS, None, vectors)
    new, rows = words.lay_new(["停水", "水停", "水管", "早", "水"])
    assert new == ["水停", "水管", "水"]
    np.testing.assert_array_equal(rows, np.array([[2, 4], [1, 2], [1, 2]], np.float32))
    assert words.lay_new(WORDS) == ([], None)
    assert ArtifactWords(WORDS, None).lay_new(["水"]) == ([], None)


def test_new_words_stand_behind_the_vocabulary():
    words = ArtifactWords(WORDS, None)
    assert dict(words.number_with(["水", "管"])) == {"停水": 2, "早餐": 3, "水": 4, "管": 5}
    assert dict(words.number_with([])) == {"停水": 2, "早餐": 3}
    assert dict(ArtifactWords(None, None).number_with([])) == {}


def test_the_vocabulary_is_read_once_whatever_the_number_of_texts():
    class Counted(list):
        times = 0

        def __iter__(self):
            Counted.times += 1
            return super().__iter__()

    words = ArtifactWords(Counted(WORDS), None)
    for _ in range(3):
        words.lay_new(["水"])
        assert words.number_with(["水"])["早餐"] == 3
    assert Counted.times == 1


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        ({"vocabulary": b"nonsense"}, "expected words"),
        ({"vocabulary": b"[1, 2]"}, "expected words"),
        ({"vocabulary": b"[]"}, "expected 2 words, as textcnn has rows for; found 0"),
        ({"characters": b"nonsense" * 9}, "not a safetensors file"),
        ({"characters": save({"vectors": np.zeros((1, 2), np.float32)})}, "expected codepoints"),
        ({"characters": packed(kinds=(np.float32, np.float32))}, "expected codepoints, "),
        ({"characters": packed(codepoints=(-1, 5))}, "codepoints of Unicode"),
        ({"characters": packed(codepoints=(0x110000, 5))}, "codepoints of Unicode"),
        ({"characters": packed(vectors=((1, 2, 3), (4, 5, 6)))}, r"expected vectors, \(2, 2\)"),
        ({"characters": packed(vectors=((1, 2),))}, "expected vectors"),
        ({"keywords": b"nonsense"}, "expected words and their classes"),
        ({"keywords": b'["a"]'}, "expected words and their classes"),
        ({"keywords": b'{"a": 1.5}'}, "expected words and their classes"),
        ({"keywords": '{"停水": 3}'.encode()}, "expected classes below 3, found"),
        ({"keywords": '{"停水": -1}'.encode()}, "expected classes below 3, found"),
    ],
)
def test_damaged_files_are_refused(read, contents, said):
    with pytest.raises(ArtifactError) as caught:
        read(**contents)
    assert caught.match(said) or any(said in problem for problem in caught.value.problems)


@pytest.mark.parametrize(("version", "is_found"), [(7, False), (8, True)])
def test_texts_are_cut_by_a_dictionary_as_when_the_artifact_was_made(read, version, is_found):
    text = read(version=version, user_dict="玛丽·居里 9\n".encode()).user_dict
    assert finds_uncommon(text) == is_found
    assert read(version=version, user_dict="停水 9\n".encode()).user_dict == "停水 9\n"
