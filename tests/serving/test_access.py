import os
import subprocess
import sys

import pytest

from raytrain.errors import ConfigError
from raytrain.serving.access import digest_of, is_known, is_loopback, is_own_name, make_token, read_token


def test_tokens_differ_and_are_known_by_their_digest():
    token, other = make_token(), make_token()
    assert token != other and len(token) >= 32
    assert is_known(f"Bearer {token}", digest_of(token)) and is_known(f"bearer  {token} ", digest_of(token))
    for wrong in (None, "", token, f"Bearer {other}", f"Basic {token}", "Bearer", "Bearer é"):
        assert not is_known(wrong, digest_of(token))


def test_a_private_file_holds_a_token(tmp_path):
    file = tmp_path / "token"
    file.write_text("a-token-of-somebody\n")
    file.chmod(0o600)
    assert read_token(str(file)) == "a-token-of-somebody"


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (b"a-token-of-somebody", 0o644, "only its owner may read"),
        (b"a-token-of-somebody", 0o620, "found mode 0620"),
        (b"short", 0o600, "found 5 characters"),
        (b"two words of a token", 0o600, "without blanks"),
        (b"", 0o600, "found 0 characters"),
        ("令牌令牌令牌令牌令牌令牌".encode(), 0o600, "cannot be read"),
    ],
)
def test_a_file_that_is_not_fit_is_refused(tmp_path, content, mode, said):
    file = tmp_path / "token"
    file.write_bytes(content)
    file.chmod(mode)
    with pytest.raises(ConfigError, match=said):
        read_token(str(file))


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_token(str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("host", "is_own"),
    [
        ("127.0.0.1", True),
        ("127.8.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("example.com", False),
        ("", False),
    ],
)
def test_the_loopback_is_known(host, is_own):
    assert is_loopback(host) is is_own


@pytest.mark.parametrize(
    ("host", "is_own"),
    [
        ("localhost", True),
        ("localhost:8000", True),
        ("127.0.0.1:1", True),
        ("[::1]", True),
        ("[::1]:80", True),
        ("evil.example", False),
        ("localhost.evil.example:8000", False),
        (None, False),
        ("", False),
    ],
)
def test_own_names_are_known(host, is_own):
    assert is_own_name(host) is is_own


def test_the_ray_that_is_begun_here_is_kept_apart():
    code = (
        "import os; from raytrain.serving.access import keep_ray_apart as keep; keep()\n"
        "print(os.environ.get('RAY_AUTH_MODE'), len(os.environ.get('RAY_AUTH_TOKEN', '')))"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_A")}
    for own, said in (({}, "token 64"), ({"RAY_ADDRESS": "10.0.0.1:6379"}, "None 0")):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=kept | own)
        assert done.stdout.strip() == said, done.stderr
