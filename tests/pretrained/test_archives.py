import contextlib
import gzip
import io
import random
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.errors import CheckpointError
from raytrain.pretrained import archives
from raytrain.pretrained.archives import is_archive, unpack

FILES = {
    "albert_tiny/albert_config.json": b"{}",
    "albert_tiny/model.ckpt-best.index": bytes(3000),
    "vocab.txt": "天\n".encode(),
}


def write_tar(path, files, mode="w:gz", change=None):
    with tarfile.open(path, mode) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            if change:
                change(info)
            tar.addfile(info, io.BytesIO(data))
    return path


def write_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return path


WRITERS = {"tar.gz": write_tar, "zip": write_zip}


def files_below(directory):
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


@pytest.fixture(params=WRITERS)
def write(request, tmp_path):
    """Writes files into an archive of either kind."""
    return lambda files: WRITERS[request.param](tmp_path / f"archive.{request.param}", files)


def refused(archive, directory, **options):
    with pytest.raises(CheckpointError) as caught:
        unpack(archive, directory, **options)
    assert str(archive) in caught.value.summary
    return "\n".join(caught.value.problems)


def refused_summary(archive, directory):
    with pytest.raises(CheckpointError) as caught:
        unpack(archive, directory)
    return caught.value.summary


def test_files_come_out_as_they_went_in(write, tmp_path):
    unpack(write(FILES), tmp_path / "out")
    assert files_below(tmp_path / "out") == FILES


@pytest.mark.parametrize("mode", ["w:", "w:xz", "w:bz2"])
def test_other_compressions_of_tar(tmp_path, mode):
    unpack(write_tar(tmp_path / "archive", FILES, mode), tmp_path / "out")
    assert files_below(tmp_path / "out") == FILES


@pytest.mark.parametrize(
    "name", ["../outside", "a/../../outside", "/tmp/outside", "a\\..\\outside", "/", "./../x"]
)
def test_no_member_leaves_the_directory(write, tmp_path, name):
    assert "inside the archive's own directory" in refused(
        write({"a.txt": b"", name: b"x"}), tmp_path / "out"
    )
    assert not [path for path in tmp_path.rglob("outside")]


@settings(max_examples=60)
@given(name=st.text(st.sampled_from("./\\ab\0~"), min_size=1, max_size=8))
def test_whatever_the_name_nothing_is_written_outside(tmp_path_factory, name):
    place = tmp_path_factory.mktemp("place")
    archive = write_tar(
        place / "archive", {name.replace("\0", ""): b"x"} if name.strip("\0") else {"a": b"x"}
    )
    inside = place / "deep" / "down"
    with contextlib.suppress(CheckpointError):
        unpack(archive, inside)
    assert {path for path in place.rglob("*") if path.is_file()} - set(inside.rglob("*")) == {archive}


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_are_refused(tmp_path, kind):
    def change(info):
        info.type, info.linkname, info.size = kind, "/etc/passwd", 0

    archive = write_tar(tmp_path / "a.tar.gz", {"a": b""}, change=change)
    assert "a link or a device" in refused(archive, tmp_path / "out")


def test_links_in_a_zip_are_refused(tmp_path):
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr(info, "/etc/passwd")
    assert "a link or a device" in refused(tmp_path / "a.zip", tmp_path / "out")


def test_a_bomb_is_stopped_at_the_bound(write, tmp_path):
    archive = write({"zeros": bytes(10_000_000)})
    assert archive.stat().st_size < 100_000
    assert "larger than 1,000,000 bytes" in refused(archive, tmp_path / "out", max_bytes=1_000_000)
    assert (tmp_path / "out" / "zeros").stat().st_size <= 1_000_001


def test_the_bound_is_on_all_files_together(write, tmp_path):
    archive = write({f"{i}": bytes(400) for i in range(3)})
    unpack(archive, tmp_path / "fits", max_bytes=1200)
    assert "larger" in refused(archive, tmp_path / "out", max_bytes=1199)


def test_a_truncated_archive_is_told(write, tmp_path):
    rng = random.Random(0)
    archive = write({"a": rng.randbytes(50_000)})
    archive.write_bytes(archive.read_bytes()[:20_000])
    assert "expected a whole" in refused(archive, tmp_path / "out")


@pytest.mark.parametrize("mode", ["w:gz", "w:xz", "w:bz2"])
@pytest.mark.parametrize("place", [0.3, 0.7, 0.99])
def test_a_flipped_bit_is_told(tmp_path, mode, place):
    archive = write_tar(tmp_path / "archive", {"weights": random.Random(1).randbytes(40_000)}, mode)
    data = bytearray(archive.read_bytes())
    data[int(len(data) * place)] ^= 1
    archive.write_bytes(data)
    assert "cannot be unpacked" in refused_summary(archive, tmp_path / "out")


def test_a_cut_checksum_is_told(tmp_path):
    archive = write_tar(tmp_path / "a.tar.gz", FILES)
    archive.write_bytes(archive.read_bytes()[:-6])
    assert "expected a whole" in refused(archive, tmp_path / "out")


@pytest.mark.parametrize("end", [1024, 1536, 1636, 3000])
def test_a_cut_plain_tar_is_told(tmp_path, end):
    archive = write_tar(tmp_path / "a.tar", {name: bytes(500) for name in "abc"}, "w:")
    archive.write_bytes(archive.read_bytes()[:end])
    assert "expected a whole" in refused(archive, tmp_path / "out")


def test_a_damaged_header_is_told(tmp_path):
    archive = write_tar(tmp_path / "a.tar", {name: bytes(500) for name in "abc"}, "w:")
    data = bytearray(archive.read_bytes())
    data[1024] ^= 1  # of b
    archive.write_bytes(data)
    assert "expected a whole" in refused(archive, tmp_path / "out")


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31m", "\udcff.txt"])
def test_names_that_cannot_be_printed_are_refused(tmp_path, name):
    assert "printable" in refused(write_tar(tmp_path / "a.tar", {name: b"x"}), tmp_path / "out")


def test_an_archive_of_directories_alone_is_told(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        info = tarfile.TarInfo("d")
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
    assert "found none" in refused(tmp_path / "a.tar", tmp_path / "out")


def test_other_methods_of_zip_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_LZMA) as packed:
        packed.writestr("a", b"x")
    assert "stored or deflated" in refused(tmp_path / "a.zip", tmp_path / "out")


def test_a_tar_that_ends_with_a_zip_is_a_tar(tmp_path):
    """As one does that holds PyTorch's own weights."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as packed:
        packed.writestr("archive/data.pkl", "x")
    files = {**FILES, "pytorch_model.bin": inner.getvalue()}
    unpack(write_tar(tmp_path / "a.tar", files, "w:"), tmp_path / "out")
    assert files_below(tmp_path / "out") == files


@pytest.mark.parametrize("name", ["w:", "w:gz"])
def test_a_header_larger_than_any_is_not_read(tmp_path, name):
    archive = write_tar(
        tmp_path / "a.tar",
        FILES | {"b": bytes(10)},
        name,
        change=lambda info: info.pax_headers.update(comment="x" * (9 << 20)),
    )
    assert "a header of" in refused(archive, tmp_path / "out")


def test_bytes_without_end_behind_the_archive_are_not_read(tmp_path):
    with tarfile.open(tmp_path / "plain", "w") as tar:
        tar.addfile(tarfile.TarInfo("a"))
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress((tmp_path / "plain").read_bytes() + bytes(20 << 20)))
    assert "behind its end" in refused(tmp_path / "a.tar.gz", tmp_path / "out")


def test_a_disk_that_cannot_be_written_is_not_the_archive_s_fault(write, tmp_path, monkeypatch):
    archive, plain = write(FILES), Path.open

    def opened(self, mode="r", *arguments, **options):
        if "x" in mode:
            raise OSError(28, "No space left on device")
        return plain(self, mode, *arguments, **options)

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(OSError, match="No space"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("data", [b"", b"<html>not found</html>", b"PK\x03\x04garbage", b"\x1f\x8bgarbage"])
def test_a_foreign_file_is_told(tmp_path, data):
    (tmp_path / "a.tar.gz").write_bytes(data)
    assert "expected" in refused(tmp_path / "a.tar.gz", tmp_path / "out")


def block(data):
    return data + bytes(-len(data) % tarfile.BLOCKSIZE)


def header_of(name, kind, size=0, extended=False):
    """A member's header in GNU's format, with an empty map of a sparse file."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    data = bytearray(info.tobuf(tarfile.GNU_FORMAT)[: tarfile.BLOCKSIZE])
    if kind == tarfile.GNUTYPE_SPARSE:
        data[386:483] = bytes(97)
        data[482] = extended
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data)
    return bytes(data)


def test_a_sparse_file_is_refused(tmp_path):
    data = header_of("a", tarfile.GNUTYPE_SPARSE) + bytes(1024)
    (tmp_path / "a.tar").write_bytes(data)
    assert "'a': expected a plain file, found a sparse one" in refused(tmp_path / "a.tar", tmp_path / "out")


def test_a_map_of_a_sparse_file_is_not_read_without_end(tmp_path, monkeypatch):
    more = bytes(504) + b"\1" + bytes(7)
    data = header_of("a", tarfile.GNUTYPE_SPARSE, extended=True) + more * 200_000
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(data))
    read = count_reads(monkeypatch)
    assert "of headers before a member" in refused(tmp_path / "a.tar.gz", tmp_path / "out")
    assert sum(read) < 2 << 20


def count_reads(monkeypatch):
    sizes, plain = [], archives._Bounded.read

    def read(self, size):
        sizes.append(size)
        return plain(self, size)

    monkeypatch.setattr(archives._Bounded, "read", read)
    return sizes


def pax_header(kind=tarfile.XHDTYPE, **fields):
    lines = b""
    for key, value in fields.items():
        line = f" {key.replace('__', '.')}={value}\n".encode()
        size = len(line) + 1
        while len(f"{size}") + len(line) != size:
            size += 1
        lines += f"{size}".encode() + line
    return header_of("x", kind, len(lines)) + block(lines)


def test_a_map_in_a_sparse_files_content_is_not_read_without_end(tmp_path, monkeypatch):
    """As PAX 1.0 has it: as many numbers as the first one says."""
    asked = pax_header(GNU__sparse__major=1, GNU__sparse__minor=0, GNU__sparse__name="a")
    content = b"999999999999\n" + b"0\n" * 10_000_000
    data = asked + header_of("a", tarfile.REGTYPE, len(content)) + block(content)
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(data))
    read = count_reads(monkeypatch)
    assert "of headers before a member" in refused(tmp_path / "a.tar.gz", tmp_path / "out")
    assert sum(read) < 2 << 20


def test_headers_for_all_members_do_not_pile_up(tmp_path):
    data = b""
    for number in range(40):
        data += pax_header(tarfile.XGLTYPE, **{f"key{number}x{i}": "v" for i in range(50)})
        data += header_of(f"a{number}", tarfile.REGTYPE)
    (tmp_path / "a.tar").write_bytes(data + bytes(1024))
    assert "keys of headers for all" in refused(tmp_path / "a.tar", tmp_path / "out")


@pytest.mark.parametrize("name", ["a/" * 20 + "b", "a/" * 3000 + "b"])
def test_a_name_many_directories_deep_is_refused(write, tmp_path, name):
    assert "at most 20 parts" in refused(write({"a": b"", name: b"x"}), tmp_path / "out")
    assert len(list((tmp_path / "out").rglob("*"))) == 1


def test_a_name_some_directories_deep_is_none_too_deep(write, tmp_path):
    unpack(write({"a/" * 19 + "b": b"x"}), tmp_path / "out")
    assert files_below(tmp_path / "out") == {"a/" * 19 + "b": b"x"}


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_directories_count_as_members(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 5)
    path = tmp_path / "archive"
    if kind == "zip":
        write_zip(path, {f"{i}/": b"" for i in range(6)})
    else:
        path.write_bytes(b"".join(header_of(f"{i}", tarfile.DIRTYPE) for i in range(6)) + bytes(1024))
    assert "expected at most 5 files and directories" in refused(path, tmp_path / "out")


def test_an_empty_archive_is_told(write, tmp_path):
    assert "found none" in refused(write({}), tmp_path / "out")


def test_a_name_that_comes_twice_is_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for _ in range(2):
            tar.addfile(tarfile.TarInfo("a"), io.BytesIO())
    assert refused(tmp_path / "a.tar", tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("a.tar.gz", True), ("B.ZIP", True), ("a.tgz", True), ("a.txt", False), ("zip", False)],
)
def test_archives_are_known_by_their_name(tmp_path, name, is_one):
    assert is_archive(tmp_path / name) == is_one
