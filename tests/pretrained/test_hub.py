"""An encoder of the hub: fetched once, linked, verified ever after."""

import io
import json
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from encoder_kinds import CONFIG, SMALL_FILES
from hub_server import COMMIT, LATER, oid, serve_hub
from rich.console import Console
from safetensors.numpy import save
from sentencepiece_model import tiny_model

from raytrain.config.sections import CheckpointConfig
from raytrain.errors import CheckpointError
from raytrain.hub.client import counting
from raytrain.hub.known import HUB
from raytrain.pretrained.directory import read_encoder
from raytrain.pretrained.fetch import hub_table, is_fetched, locate_checkpoint
from raytrain.pretrained.hub import _linked, fetch_hub, is_here, read_hub_address
from raytrain.pretrained.start import find_start
from raytrain.pretrained.zoo import MINI
from raytrain.tensors.open import open_tensors
from raytrain.text.vocab import SPECIAL_TOKENS

MINI_FILES = {path.name: path.read_bytes() for path in MINI.iterdir()}
SMALL = SMALL_FILES
OTHER_VOCAB = SMALL["vocab.txt"].replace("天".encode(), "气".encode())
WEIGHTS = b"weights" * 100
FILES = {**SMALL, "model.safetensors": WEIGHTS}
ADDRESS = read_hub_address("hf:org/encoder")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYTRAIN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for name in ("HF_HUB_CACHE", "HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("raytrain.hub.client.time.sleep", lambda _: None)
    return tmp_path / "home" / "checkpoints"


@pytest.fixture
def hub(monkeypatch):
    with serve_hub({"org/encoder": {COMMIT: dict(FILES)}}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def fetched(location="hf:org/encoder", **options):
    """(the directory, what was said)."""
    console = Console(file=io.StringIO(), width=400)
    directory = fetch_hub(read_hub_address(location), console, **options)
    return directory, console.file.getvalue()


def refused(location="hf:org/encoder", **options):
    with pytest.raises(CheckpointError) as caught:
        fetched(location, **options)
    return str(caught.value)


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def blob(tmp_path, name="model.safetensors"):
    snapshot = tmp_path / "hf/hub/models--org--encoder/snapshots" / COMMIT
    return (snapshot / name).resolve()


def test_it_is_fetched_once_and_then_without_asking(hub, home):
    directory, said = fetched()
    assert directory == home / "hf--org--encoder" and contents(directory) == FILES
    assert f"hf:org/encoder at {COMMIT[:12]}: 0.0 MB (model.safetensors)" in said
    before = len(hub.requests)
    assert fetched() == (directory, "")
    assert len(hub.requests) == before and is_here(ADDRESS)


def test_what_is_fetched_is_written_down(hub, home):
    directory, _ = fetched()
    record = json.loads((home / "hf--org--encoder.json").read_text())
    assert record["source"] == f"{hub.url}/org/encoder" and record["revision"] == COMMIT
    assert set(record["files"]) == set(FILES)
    assert contents(directory) == FILES


@pytest.mark.parametrize("revision", [LATER, "dev", "refs/pr/4"])
def test_a_branch_and_a_commit_are_fetched_beside_main(hub, revision):
    later = {**FILES, "vocab.txt": OTHER_VOCAB}
    hub.repositories["org/encoder"][LATER] = later
    hub.branches |= {"dev": LATER, "refs/pr/4": LATER}
    main, _ = fetched()
    other, _ = fetched(f"hf:org/encoder@{revision}")
    assert contents(main) == FILES and contents(other) == later


def test_a_branch_that_moved_is_told_and_what_was_fetched_is_used(hub, home):
    directory, _ = fetched()
    hub.repositories["org/encoder"][LATER] = {**FILES, "vocab.txt": OTHER_VOCAB}
    assert fetched(asks_again=True)[1] == ""
    hub.branches["main"] = LATER
    same, said = fetched(asks_again=True)
    assert contents(same) == FILES and f"main is at {LATER} now; {COMMIT}" in said
    assert f"say hf:org/encoder@{LATER}, or delete {home / 'hf--org--encoder.json'}" in said
    (home / "hf--org--encoder.json").unlink()
    assert contents(fetched()[0])["vocab.txt"] == OTHER_VOCAB and directory == same


def test_where_the_hub_is_away_what_is_here_is_used(hub, monkeypatch):
    directory, _ = fetched()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert fetched() == (directory, "")
    assert "whether it has moved cannot be asked" in fetched(asks_again=True)[1]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert fetched(asks_again=True) == (directory, "")


def test_a_cache_that_was_emptied_is_filled_with_the_same_again(hub, tmp_path):
    directory, _ = fetched()
    hub.repositories["org/encoder"][LATER] = {**FILES, "vocab.txt": OTHER_VOCAB}
    hub.branches["main"] = LATER
    shutil.rmtree(tmp_path / "hf")
    assert not is_here(ADDRESS)
    assert fetched()[0] == directory and contents(directory) == FILES


def test_a_file_that_changed_in_the_cache_is_found(hub, tmp_path, home):
    fetched()
    place = blob(tmp_path)
    place.chmod(0o600)
    place.write_bytes(b"poison!" * 100)
    message = refused()
    assert "model.safetensors: its content has changed (sha256 differs)" in message
    assert f"delete {place}" in message and f"cp -rL {home / 'hf--org--encoder'} DIR" in message
    place.unlink()
    assert contents(fetched()[0]) == FILES


def test_a_hub_that_rewrites_a_commit_is_found(hub, tmp_path, home):
    fetched()
    shutil.rmtree(tmp_path / "hf")
    hub.repositories["org/encoder"][COMMIT] = {**FILES, "vocab.txt": OTHER_VOCAB}
    message = refused()
    assert "other files than at the first fetch" in message and "vocab.txt: expected the sha256" in message
    assert f"delete {home / 'hf--org--encoder.json'}" in message


def test_a_file_that_is_not_what_the_hub_lists_is_refused(hub, home):
    listed = hub.repositories["org/encoder"][COMMIT]["model.safetensors"]
    hub.changed[oid(listed)] = b"poison!" * 100
    message = refused()
    assert "model.safetensors: not what the hub says it is" in message
    assert not (home / "hf--org--encoder.json").exists() and not is_here(ADDRESS)


def test_what_others_fetch_into_the_snapshot_is_not_read(hub, tmp_path):
    directory, _ = fetched()
    (blob(tmp_path).parent.parent / "snapshots" / COMMIT / "model.ckpt-1.index").write_text("other")
    assert contents(fetched()[0]) == FILES == contents(directory)


def test_only_what_is_read_is_fetched(hub):
    more = {
        "README.md": b"x",
        "flax_model.msgpack": b"x",
        "modeling.py": b"x",
        "model.onnx": b"x",
        "onnx/model.safetensors": b"x",
        "pytorch_model.bin": b"x",
        "tf_model.h5": b"x",
    }
    beside = ("tokenizer.json", "tokenizer_config.json", "added_tokens.json", "special_tokens_map.json")
    wanted = {**FILES, **dict.fromkeys(beside, b"{}")}
    hub.repositories["org/encoder"][COMMIT] = {**more, **wanted}
    assert contents(fetched()[0]) == wanted


def sharded(names, there):
    index = json.dumps({"weight_map": {f"w{i}": name for i, name in enumerate(names)}}).encode()
    return {**SMALL, "model.safetensors.index.json": index, **dict.fromkeys(there, WEIGHTS)}


SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]


def config_of(**said):
    return json.dumps({"model_type": "bert", **CONFIG, **said}).encode()


WORDS = "".join(f"{token}\n" for token in (*SPECIAL_TOKENS, "天气")).encode()
UNREAD = [
    ({"config.json": config_of(model_type="roberta")}, "expected a model_type of"),
    ({"config.json": config_of(model_type="xlnet")}, "found 'xlnet'"),
    ({"config.json": b"{"}, "config.json: not readable as JSON"),
    ({"config.json": b"{}"}, "expected a positive integer vocab_size"),
    ({"config.json": config_of(model_type="roformer", embedding_size=8), "vocab.txt": WORDS}, "1 words"),
    ({"config.json": config_of(vocab_size=5)}, "expected at most vocab_size 5 tokens"),
    ({"vocab.txt": b"[PAD]\n[UNK]\n"}, "expected the token [CLS]"),
    ({"tokenizer_config.json": b"["}, "tokenizer_config.json: not readable as JSON"),
]


@pytest.mark.parametrize(("changes", "told"), UNREAD, ids=range(len(UNREAD)))
def test_what_no_run_reads_is_refused_before_its_weights_come(hub, home, changes, told):
    index = sharded(SHARDS, SHARDS)
    hub.repositories["org/encoder"][COMMIT] = {**index, **changes}
    message = refused("hf:org/encoder@main")
    assert "hf:org/encoder: no encoder that can be read" in message and told in message
    assert "`hf download org/encoder --local-dir DIR`" in message and str(home) not in message
    bodies = [path for method, path, _ in hub.requests if method == "GET" and "/api/" not in path]
    assert not [path for path in bodies if "model" in path]
    assert [path.name for path in home.iterdir()] == ["hf--org--encoder.lock"]


PIECES = {"tokenizer.json": b"{}", "spiece.model": tiny_model(), "other.model": b"x"}
ALBERT = config_of(model_type="albert", embedding_size=6, vocab_size=200)


@pytest.mark.parametrize(
    ("changes", "left_out"),
    [
        ({}, {"spiece.model", "other.model"}),
        ({"config.json": ALBERT}, {"vocab.txt", "other.model"}),
        (
            {"config.json": ALBERT, "tokenizer_config.json": b'{"tokenizer_class": "BertTokenizerFast"}'},
            {"spiece.model", "other.model"},
        ),
        (
            {
                "config.json": config_of(
                    model_type="albert", embedding_size=6, tokenizer_class="BertTokenizer"
                )
            },
            {"spiece.model", "other.model"},
        ),
    ],
)
def test_of_vocabularies_of_two_forms_one_comes(hub, changes, left_out):
    """Two are refused in a directory; which one transformers reads is known here."""
    files = {**FILES, **PIECES, **changes}
    hub.repositories["org/encoder"][COMMIT] = files
    directory, _ = fetched()
    assert contents(directory) == {name: data for name, data in files.items() if name not in left_out}
    assert read_encoder(str(directory), True, 16).vocab.tokens


def test_what_was_not_fetched_at_first_is_not_fetched_later(hub, tmp_path):
    """A record of before other files were wanted still holds."""
    directory, _ = fetched()
    hub.repositories["org/encoder"][COMMIT] = {**FILES, "added_tokens.json": b"{}"}
    shutil.rmtree(tmp_path / "hf")
    assert contents(fetched()[0]) == FILES and fetched() == (directory, "")


def test_names_of_strangers_are_told_so_that_no_terminal_obeys_them(hub):
    name = "model-[red]\x1b[2J-of-1.safetensors"
    hub.repositories["org/encoder"][COMMIT] = sharded([name], [name])
    assert "model-[red]\\x1b[2J-of-1.safetensors" in fetched()[1]


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "tf_model.h5"])
def test_the_weights_come_in_one_format_alone(hub, name):
    order = ["model.safetensors", "pytorch_model.bin", "tf_model.h5"]
    there = dict.fromkeys(order[order.index(name) :], WEIGHTS)
    hub.repositories["org/encoder"][COMMIT] = {**SMALL, **there}
    assert contents(fetched()[0]) == {**SMALL, name: WEIGHTS}


def test_shards_come_with_their_index(hub):
    hub.repositories["org/encoder"][COMMIT] = files = sharded(SHARDS, SHARDS)
    assert contents(fetched()[0]) == files


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (SHARDS, f"{SHARDS[1]}: named by model.safetensors.index.json, but not in the repository"),
        (["../../x.safetensors"], "expected the name of a file of arrays beside the index"),
        (["/etc/passwd"], "expected the name of a file of arrays beside the index"),
    ],
)
def test_an_index_that_names_what_is_not_there_is_told(hub, names, told):
    hub.repositories["org/encoder"][COMMIT] = sharded(names, SHARDS[:1])
    assert told in refused()


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (
            {**SMALL, "model.onnx": b"x"},
            ["expected weights as model.safetensors", "found config.json, model.onnx"],
        ),
        ({"model.safetensors": b"x"}, ["expected config.json, found none", "vocab.txt, tokenizer.json"]),
        ({}, ["found no file"]),
    ],
)
def test_a_repository_without_an_encoder_is_told_with_all_that_lacks(hub, files, told):
    hub.repositories["org/encoder"][COMMIT] = files
    message = refused()
    assert all(part in message for part in told)
    assert not [request for request in hub.requests if request[0] == "GET" and "/api/" not in request[1]]


def test_a_disk_without_room_is_told_before_the_weights_come(hub):
    hub.sizes["model.safetensors"] = 1 << 60
    message = refused()
    assert (
        f"expected {(1 << 60) + sum(map(len, SMALL.values())):,} bytes free" in message
        and "HF_HUB_CACHE" in message
    )
    assert not [path for method, path, _ in hub.requests if method == "GET" and "/api/" not in path]


def test_a_config_of_gigabytes_is_not_fetched(hub):
    hub.sizes["config.json"] = 1 << 30
    assert "config.json: expected" in refused()


def test_more_than_was_listed_is_not_taken(hub):
    hub.sizes["model.safetensors"] = 3
    assert "expected 3 bytes, as its hub lists it; more come" in refused()


def test_more_than_was_listed_is_not_taken_where_no_count_stops_it(hub, home, monkeypatch):
    """As by Xet, which goes on whatever is raised by what it tells."""
    monkeypatch.setattr("raytrain.hub.client.counting", lambda on_bytes: counting(lambda done: None))
    hub.sizes["model.safetensors"] = 3
    assert "expected 3 bytes, as its hub lists it; more come" in refused()
    assert not (home / "hf--org--encoder.json").exists()


@pytest.mark.parametrize(
    ("name", "bound"),
    [("config.json", "MOST_READ_BYTES"), ("model.safetensors", "_MOST_WEIGHT_BYTES")],
)
def test_of_a_file_without_a_size_no_more_is_taken_than_can_be_meant(hub, monkeypatch, name, bound):
    hub.sizes |= dict.fromkeys(FILES)
    monkeypatch.setattr(f"raytrain.hub.files.{bound}", 3)
    message = refused()
    assert f"{name}: cannot be fetched" in message
    assert "expected 3 bytes at most, for its hub lists no size; more come" in message


def test_a_file_without_a_size_is_fetched(hub):
    hub.sizes |= dict.fromkeys(FILES)
    assert contents(fetched()[0]) == FILES


def test_offline_without_a_record_the_cache_is_taken(hub, tmp_path, monkeypatch, home):
    fetched()
    (home / "hf--org--encoder.json").unlink()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    before = len(hub.requests)
    assert contents(fetched()[0]) == FILES and len(hub.requests) == before
    shutil.rmtree(tmp_path / "hf")
    assert "nothing is fetched offline" in refused()


def test_a_broken_fetch_goes_on_with_what_has_come(hub, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("raytrain.pretrained.hub.write_record", full)
        assert "cannot be written: No space left on device" in refused()
    before = len(hub.requests)
    assert contents(fetched()[0]) == FILES
    assert [path.split("/")[1] for _, path, _ in hub.requests[before:]] == ["api"]


@pytest.mark.parametrize("text", ["{", '{"sha256": "0", "source": "x", "files": []}'])
def test_a_damaged_record_is_told(hub, home, text):
    fetched()
    (home / "hf--org--encoder.json").write_text(text)
    assert "hf--org--encoder.json: damaged" in refused()
    assert not is_here(ADDRESS)


def test_a_bad_address_is_told():
    for location in ("hf:bert", "hf:a/b@"):
        with pytest.raises(CheckpointError, match="expected hf:ORGANISATION/NAME"):
            locate_checkpoint(location, Console(file=io.StringIO()))


@pytest.mark.parametrize(
    ("location", "meant"),
    [
        ("hf:bert-base-chinese", "hf:google-bert/bert-base-chinese"),
        ("hf:bert-base-chinese@main", "hf:google-bert/bert-base-chinese"),
        ("hf:rbt3", "hf:hfl/rbt3"),
        ("hf:chinese-macbert-bas", "hf:hfl/chinese-macbert-base"),
    ],
)
def test_a_name_without_its_organisation_is_told_with_it(location, meant):
    with pytest.raises(CheckpointError) as caught:
        read_hub_address(location)
    assert f"did you mean {meant}?" in str(caught.value)


def test_without_its_prefix_it_is_known_what_was_meant():
    with pytest.raises(CheckpointError, match=r"did you mean hf:hfl/chinese-roberta-wwm-ext\?"):
        locate_checkpoint("hfl/chinese-roberta-wwm-ext", Console(file=io.StringIO()))


def test_a_short_name_is_that_of_a_repository(hub, home):
    hub.repositories["hfl/rbt3"] = {COMMIT: FILES}
    assert not is_fetched("rbt3") and not is_fetched("hf:hfl/rbt3")
    assert locate_checkpoint("rbt3", Console(file=io.StringIO())) == home / "hf--hfl--rbt3"
    assert is_fetched("rbt3") and is_fetched("hf:hfl/rbt3")
    console = Console(file=io.StringIO(), width=200)
    console.print(hub_table())
    lines = {line.split()[0]: line.split()[1:] for line in console.file.getvalue().splitlines()[1:]}
    assert set(lines) == set(HUB)
    assert lines["rbt3"] == ["hfl", "bert", "37.9", "M", "yes"]
    assert lines["nezha-cn-base"][-1] == "no"


def test_an_encoder_is_read_from_where_it_was_fetched(hub, home):
    hub.repositories["org/encoder"][COMMIT] = {**MINI_FILES, "README.md": b"x"}
    config = CheckpointConfig(checkpoint="hf:org/encoder", maxlen=32)
    encoder = find_start(config, lambda: iter(()), Console(file=io.StringIO()))
    mini = read_encoder(str(MINI), True, 32)
    assert (encoder.kind, encoder.config, encoder.vocab) == (mini.kind, mini.config, mini.vocab)
    assert {path.name for path in encoder.files} == {path.name for path in mini.files}
    assert encoder.origin["revision"] == COMMIT and encoder.origin["source"] == f"{hub.url}/org/encoder"
    assert len(encoder.origin["sha256"]) == 64 and mini.origin is None


def test_weights_are_read_through_the_links(hub):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    hub.repositories["org/encoder"][COMMIT] = {**SMALL, "model.safetensors": save({"a": array})}
    opened = open_tensors(fetched()[0] / "model.safetensors")
    assert np.array_equal(opened.read("a"), array)


def test_nothing_of_the_hub_is_imported_before_it_is_needed():
    script = (
        "import sys, raytrain.crossval.driver, raytrain.commands.checkpoints\n"
        "print([name for name in ('huggingface_hub', 'tensorflow') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def assert_whole(hub, home, directories):
    """One checkpoint, fetched once, with nothing half done beside it."""
    [directory] = {*directories}
    assert contents(directory) == FILES and directory == home / "hf--org--encoder"
    record = json.loads((home / "hf--org--encoder.json").read_text())
    assert record["revision"] == COMMIT and set(record["files"]) == set(FILES)
    left = {path.name for path in home.iterdir()}
    assert left - {"hf--org--encoder.lock"} == {"hf--org--encoder", "hf--org--encoder.json"}
    bodies = [path for method, path, _ in hub.requests if method == "GET" and path.startswith("/cdn/")]
    assert len(bodies) == 1


def test_threads_that_fetch_the_same_end_with_one_whole_checkpoint(hub, home):
    begin = threading.Barrier(4)

    def fetch(_):
        begin.wait()
        return fetched()[0]

    with ThreadPoolExecutor(4) as pool:
        assert_whole(hub, home, list(pool.map(fetch, range(4))))


def test_processes_that_fetch_the_same_end_with_one_whole_checkpoint(hub, home):
    script = (
        "from rich.console import Console\n"
        "from raytrain.pretrained.hub import fetch_hub, read_hub_address\n"
        "print(fetch_hub(read_hub_address('hf:org/encoder'), Console(stderr=True)))"
    )
    command = [sys.executable, "-c", script]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = [process.communicate()[0].strip() for process in started]
    assert [process.returncode for process in started] == [0, 0, 0]
    assert_whole(hub, home, [Path(answer) for answer in answers])


def test_a_config_of_a_tokenizer_is_no_vocabulary(hub):
    files = {name: data for name, data in FILES.items() if name != "vocab.txt"}
    files["tokenizer_config.json"] = b"{}"
    hub.repositories["org/encoder"][COMMIT] = files
    assert "expected vocab.txt, tokenizer.json or a *.model of SentencePiece, found none" in refused()


def test_what_a_killed_process_left_goes_and_what_another_links_stays(tmp_path, home):
    (tmp_path / "file").write_text("")
    home.mkdir(parents=True)
    address = read_hub_address("hf:org/encoder@v1")
    (home / f"{address.key}.0123abcd.linking").mkdir()
    others = [
        f"{read_hub_address(f'hf:org/encoder{of}').key}.0123abcd.linking" for of in ("", "@v1.1", "@v1.1.0")
    ]
    for other in others:
        (home / other).mkdir()
    with _linked(address, {"config.json": tmp_path / "file"}) as linking:
        assert sorted(path.name for path in home.iterdir()) == sorted([*others, linking.name])
    assert sorted(path.name for path in home.iterdir()) == sorted(others)
