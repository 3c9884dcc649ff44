"""Opening the file system that a URI names, with clients that do not wait for ever."""

import functools
import os
from urllib.parse import quote, unquote, urlsplit

from pyarrow import ArrowInvalid
from pyarrow import fs as pafs

from raytrain.errors import ConfigError, StorageError
from raytrain.storage.outages import outlast

_OF_URIS = ":/?@[]!$&'()*+,;=%~"  # what has a meaning in them, escapes too (RFC 3986)


def open_uri(uri: str) -> tuple[pafs.FileSystem, str]:
    """Opens the file system of a URI, and tells the path in it.

    Raises:
        ConfigError: Not a URI that pyarrow.fs opens.
        StorageError: S3 does not say where the bucket is.
    """
    try:
        if "#" in uri:  # what stands behind it would be left out
            raise ValueError("expected a path without #; write it as %23")
        if uri.startswith("s3://"):
            root, parts = root_of(uri), urlsplit(uri)
            if not parts.hostname:
                raise ValueError("it names no bucket")
            found = outlast(lambda: _open_s3(root, _aws_settings()), "opening it", uri, root)
            return found, f"{parts.netloc.rpartition('@')[2]}{unquote(parts.path.rstrip('/'))}"
        # Google's client else tries for a quarter of an hour, deaf to signals.
        options = "?retry_limit_seconds=15" if uri.startswith(("gs://", "gcs://")) else ""
        # Names of runs may have blanks and Chinese, of which a URI knows escapes alone.
        return pafs.FileSystem.from_uri(quote(uri, safe=_OF_URIS) + options)
    except StorageError:
        raise
    except (ArrowInvalid, OSError, ValueError, RuntimeError) as error:
        raise ConfigError(f"storage {uri!r}: cannot be opened by pyarrow.fs: {error}") from error


def root_of(uri: str) -> str:
    """Scheme and bucket or host."""
    return "/".join(uri.split("/")[:3])


def _aws_settings() -> tuple[tuple[str, str], ...]:
    return tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_")))


@functools.lru_cache(maxsize=16)
def _open_s3(root: str, settings: tuple[tuple[str, str], ...]) -> pafs.S3FileSystem:
    """One client, with its connections, for all directories of a bucket.

    Made of a URI it would try ten times, 99 s in all at a server that does not answer; so a URI is only
    asked where the bucket lies.
    """
    found, _ = pafs.FileSystem.from_uri(root)
    parts, variables = urlsplit(root), dict(settings)
    keys = {}
    if parts.username and parts.password:
        keys = {"access_key": unquote(parts.username), "secret_key": unquote(parts.password)}
    return pafs.S3FileSystem(
        **keys,
        region=found.region or None,
        endpoint_override=variables.get("AWS_ENDPOINT_URL_S3") or variables.get("AWS_ENDPOINT_URL"),
        connect_timeout=5,
        request_timeout=10,  # of silence
        retry_strategy=pafs.AwsStandardS3RetryStrategy(max_attempts=2),
    )
