"""What a URI opens, without a network; buckets of a real server lie in test_s3."""

import pickle
from types import SimpleNamespace
from urllib.parse import unquote

import pytest
from pyarrow import fs as pafs

from raytrain.errors import ConfigError, StorageError
from raytrain.storage import filesystems
from raytrain.storage.directory import Directory
from raytrain.storage.filesystems import open_uri, root_of


@pytest.fixture
def made(monkeypatch):
    """The clients that are made of URIs and of options for S3, in place of pyarrow's."""
    monkeypatch.setenv("RAYTRAIN_STORAGE_PATIENCE", "0")
    clients = []

    def from_uri(uri):
        clients.append(uri)
        return SimpleNamespace(region="eu-north-1"), "bucket/runs"

    def client(**options):
        clients.append(options)
        return options

    stub = SimpleNamespace(
        FileSystem=SimpleNamespace(from_uri=from_uri),
        S3FileSystem=client,
        AwsStandardS3RetryStrategy=pafs.AwsStandardS3RetryStrategy,
    )
    monkeypatch.setattr(filesystems, "pafs", stub)
    filesystems._open_s3.cache_clear()
    yield clients
    filesystems._open_s3.cache_clear()


@pytest.mark.parametrize(
    ("uri", "root"),
    [
        ("s3://bucket/runs/a", "s3://bucket"),
        ("s3://bucket", "s3://bucket"),
        ("hdfs://host:9000/x", "hdfs://host:9000"),
        ("file:///data/runs", "file://"),
    ],
)
def test_the_root_of_a_uri_is_its_scheme_and_bucket(uri, root):
    assert root_of(uri) == root


def test_a_file_uri_is_this_machines_disk(tmp_path):
    found, path = open_uri(f"file://{tmp_path}")
    assert isinstance(found, pafs.LocalFileSystem) and path == str(tmp_path)


@pytest.mark.parametrize("name", ["微博 二", "a%20b", "50,5;(1)~!'"])
def test_a_run_s_name_may_have_chinese_and_blanks(tmp_path, name):
    """Also where a place below the storage is opened anew."""
    storage = Directory(f"file://{tmp_path}")
    written = Directory(f"{storage.location}/{name}")
    written.write_bytes("config.yaml", b"name: x")
    assert (tmp_path / unquote(name) / "config.yaml").exists()
    assert open_uri(f"gs://anonymous@bucket/{name}")[1] == f"bucket/{unquote(name)}"
    if "%" not in name:
        assert pickle.loads(pickle.dumps(storage / name)).read_bytes("config.yaml") == b"name: x"


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "nowhere://a",
        "relative/path",
        "s3://",
        "s3:///a",
        "s3://[bad/a",
        "htp://a",
        "s3://bucket/runs#2/a",
        "gs://bucket/runs#2/a",
        "file:///tmp/runs#2",
    ],
)
def test_what_is_no_uri_of_a_storage_is_named(uri):
    with pytest.raises(ConfigError, match=r"cannot be opened by pyarrow\.fs") as caught:
        open_uri(uri)
    assert repr(uri) in caught.value.summary


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("s3://bucket", "bucket"),
        ("s3://bucket/", "bucket"),
        ("s3://bucket/runs/甲/", "bucket/runs/甲"),
        ("s3://bucket/my%20runs", "bucket/my runs"),
        ("s3://bucket/my runs", "bucket/my runs"),
        ("s3://key:se%2Fcret@bucket/runs", "bucket/runs"),
        ("s3://My_Bucket/Runs", "My_Bucket/Runs"),
    ],
)
def test_the_path_in_a_bucket_begins_with_its_name(made, uri, path):
    assert open_uri(uri)[1] == path


def test_a_bucket_is_asked_where_it_lies_and_gives_up_soon(made):
    open_uri("s3://bucket/deep/down")
    asked, options = made
    assert asked == "s3://bucket"
    assert options["region"] == "eu-north-1" and options["endpoint_override"] is None
    assert options["connect_timeout"] + options["request_timeout"] < 30
    assert "access_key" not in options


def test_keys_in_a_uri_are_the_clients(made):
    open_uri("s3://key:se%2Fcret@bucket/runs")
    assert (made[1]["access_key"], made[1]["secret_key"]) == ("key", "se/cret")


@pytest.mark.parametrize(
    ("variables", "endpoint"),
    [
        ({"AWS_ENDPOINT_URL": "http://one"}, "http://one"),
        ({"AWS_ENDPOINT_URL": "http://one", "AWS_ENDPOINT_URL_S3": "http://two"}, "http://two"),
        ({"AWS_ENDPOINT_URL": "http://one", "AWS_ENDPOINT_URL_S3": ""}, "http://one"),
    ],
)
def test_a_server_of_ones_own_comes_from_the_environment(made, monkeypatch, variables, endpoint):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    open_uri("s3://bucket/runs")
    assert made[1]["endpoint_override"] == endpoint


def test_directories_of_a_bucket_share_a_client_until_the_settings_change(made, monkeypatch):
    one, other = open_uri("s3://bucket/a")[0], open_uri("s3://bucket/b")[0]
    assert one is other and len(made) == 2
    assert open_uri("s3://another/a")[0] is not one
    monkeypatch.setenv("AWS_PROFILE", "someone else")
    assert open_uri("s3://bucket/a")[0] is not one


@pytest.mark.parametrize("scheme", ["gs", "gcs"])
def test_googles_client_is_told_to_give_up(made, scheme):
    open_uri(f"{scheme}://bucket/runs")
    assert made == [f"{scheme}://bucket/runs?retry_limit_seconds=15"]


def test_other_clients_are_made_of_the_uri_as_it_is(made):
    assert open_uri("hdfs://host/runs")[1] == "bucket/runs"
    assert made == ["hdfs://host/runs"]


def test_a_bucket_that_does_not_say_where_it_is_is_no_mistake_of_the_config(made, monkeypatch):
    def unreachable(uri):
        raise OSError("AWS Error NETWORK_CONNECTION during HeadBucket operation")

    monkeypatch.setattr(filesystems.pafs.FileSystem, "from_uri", unreachable)
    with pytest.raises(StorageError, match=r"s3://bucket/runs: opening it failed") as caught:
        open_uri("s3://bucket/runs")
    assert caught.value.exit_code == 1
