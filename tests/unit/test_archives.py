"""A zip from outside is unpacked below one folder, or refused with its entry before anything is."""

from __future__ import annotations

import fcntl
import stat
import unicodedata
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memeapp import archives
from memeapp.archives import unpacked
from memeapp.errors import BadInput, Busy


def pack(path: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in entries.items():
            info = zipfile.ZipInfo("placeholder")
            info.filename = name  # past what the constructor would mend
            info.compress_type = method
            file.writestr(info, data)
    return path


def found(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def refusal(archive: Path) -> str:
    within = archive.parent / "data"
    with pytest.raises(BadInput) as caught, unpacked(archive, within):
        raise AssertionError("it was unpacked")
    assert found(within) == {".unpacking": b""}
    return str(caught.value)


def test_files_are_there_while_the_context_lasts(tmp_path: Path) -> None:
    entries = {"data.csv": b"table", "images/é.jpg": b"picture", "empty/": b""}
    with unpacked(pack(tmp_path / "a.zip", entries), tmp_path / "data") as folder:
        assert found(folder) == {"data.csv": b"table", "images/é.jpg": b"picture"}
        assert folder.is_relative_to(tmp_path / "data")
        assert stat.S_IMODE((tmp_path / "data" / "unpacked").stat().st_mode) == 0o700
    assert not folder.exists()


def test_a_single_folder_at_the_top_is_entered_and_hidden_files_are_left_out(
    tmp_path: Path,
) -> None:
    entries = {
        "set/a.jpg": b"a",
        "set/.DS_Store": b"x",
        "__MACOSX/set/._a.jpg": b"x",
        "set/Thumbs.db": b"x",
    }
    with unpacked(pack(tmp_path / "a.zip", entries), tmp_path) as folder:
        assert found(folder) == {"a.jpg": b"a"}
    with unpacked(pack(tmp_path / "b.zip", {"images/a.jpg": b"a"}), tmp_path) as folder:
        assert found(folder) == {"images/a.jpg": b"a"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../up.jpg", "'..' part"),
        ("a/../../up.jpg", "'..' part"),
        ("a//b.jpg", "empty"),
        ("./a.jpg", "'.'"),
        ("/etc/passwd", "absolute"),
        ("C:/a.jpg", "absolute"),
        ("C:\\a.jpg", "absolute"),
        ("..\\up.jpg", "backslash"),
        ("a\x00.jpg", "invisible"),
        ("a\u202e.jpg", "invisible"),
        ("x" * 201, "200 bytes"),
        ("é" * 101, "200 bytes"),
        ("a/" * 8 + "b", "9 levels deep, 8"),
        ("more.zip", "archive within"),
        ("more.TAR", "archive within"),
    ],
)
def test_a_name_that_is_not_plain_is_refused_and_told(
    tmp_path: Path, name: str, words: str
) -> None:
    message = refusal(pack(tmp_path / "a.zip", {"good.jpg": b"", name: b""}))
    assert words in message and "a.zip, entry" in message


def test_a_link_is_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link.jpg")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(info, "/etc/passwd")
    assert "'link.jpg': is a link" in refusal(tmp_path / "a.zip")


def test_a_name_twice_or_as_file_and_folder_is_refused(tmp_path: Path) -> None:
    nfd = unicodedata.normalize("NFD", "é")
    assert "twice" in refusal(pack(tmp_path / "a.zip", {"é": b"1", nfd: b"2"}))
    assert "both a file and a folder" in refusal(
        pack(tmp_path / "b.zip", {"a.jpg": b"1", "a.jpg/b": b"2"})
    )


def test_a_bomb_is_refused_by_its_ratio(tmp_path: Path) -> None:
    message = refusal(pack(tmp_path / "a.zip", {"zeros.jpg": bytes(2 * archives.SMALL)}))
    assert "'zeros.jpg': unpacks to" in message and "100 times are allowed" in message


@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [
        ("MAX_ENTRIES", 2, "3 entries, 2 are allowed"),
        ("MAX_BYTES", 25, "'c': up to here it unpacks to 30 bytes, 25 are allowed"),
    ],
)
def test_the_number_of_entries_and_all_bytes_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, words: str
) -> None:
    monkeypatch.setattr(archives, limit, value)
    assert words in refusal(pack(tmp_path / "a.zip", dict.fromkeys("abc", bytes(10))))


def test_a_size_that_is_a_lie_never_unpacks_to_more(tmp_path: Path) -> None:
    data = pack(tmp_path / "a.zip", {"a": bytes(5000)}).read_bytes()
    (tmp_path / "b.zip").write_bytes(data.replace((5000).to_bytes(4, "little"), b"\x05\0\0\0"))
    assert "damaged" in refusal(tmp_path / "b.zip")


def test_other_ways_of_packing_are_refused(tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.zip", {"a.jpg": b"a"}, zipfile.ZIP_LZMA)
    assert "method 14" in refusal(archive)
    data = bytearray(pack(tmp_path / "b.zip", {"a.jpg": b"a"}).read_bytes())
    for start, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(start) + at] |= 1
    (tmp_path / "b.zip").write_bytes(data)
    assert "encrypted" in refusal(tmp_path / "b.zip")


def test_a_disk_without_room_is_told_beforehand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 9})
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: usage)
    message = refusal(pack(tmp_path / "a.zip", {"a": bytes(10)}))
    assert "unpacks to 10 bytes" in message and "9 free" in message


def test_names_of_macos_are_read_as_utf_8(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("xé.jpg", b"a")
    data = bytearray((tmp_path / "a.zip").read_bytes())
    for start, at in ((b"PK\x03\x04", 7), (b"PK\x01\x02", 9)):
        data[data.index(start) + at] &= ~8
    (tmp_path / "a.zip").write_bytes(data)
    with unpacked(tmp_path / "a.zip", tmp_path / "data") as folder:
        assert found(folder) == {"xé.jpg": b"a"}


def test_what_an_interrupted_run_left_is_removed_and_two_runs_do_not_meet(tmp_path: Path) -> None:
    left = tmp_path / "unpacked" / "old"
    left.mkdir(parents=True)
    archive = pack(tmp_path / "a.zip", {"a.jpg": b"a"})
    with unpacked(archive, tmp_path):
        assert not left.exists()
        with pytest.raises(Busy, match="wait"), unpacked(archive, tmp_path):
            pass
    with (tmp_path / ".unpacking").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # free again


PARTS = st.sampled_from(["..", ".", "", "a", "b.jpg", "C:", "\\", "\0", "é", "e\u0301", "x" * 300])
NAMES = st.one_of(
    st.lists(PARTS, min_size=1, max_size=10).map("/".join),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=30),
)


@settings(deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=4, unique=True))
def test_no_name_leads_out_of_the_folder(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    top = tmp_path_factory.mktemp("top")
    archive = pack(top / "a.zip", dict.fromkeys(names, b"x"))
    try:
        with unpacked(archive, top / "data") as folder:
            inside = found(folder)
            paths = [path for path in top.rglob("*") if path.is_file()]
            assert all(
                path.resolve().is_relative_to(top / "data" / "unpacked")
                for path in paths
                if path.name not in (".unpacking", "a.zip")
            )
            assert len(inside) <= len(names)
    except BadInput:
        pass
    assert sorted(path.name for path in top.rglob("*")) == [".unpacking", "a.zip", "data"]


@settings(deadline=None)
@given(st.data())
def test_a_damaged_zip_is_refused_or_read_but_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    top = tmp_path_factory.mktemp("top")
    entries = {"a/é.txt": b"some words, some words", "b.txt": bytes(range(8))}
    content = bytearray(pack(top / "a.zip", entries).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(content)))
    (top / "a.zip").write_bytes(content[: end or None])
    try:
        with unpacked(top / "a.zip", top / "data"):
            pass
    except BadInput as error:
        assert "a.zip" in str(error)


def test_a_table_of_contents_that_is_too_long_is_never_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = pack(tmp_path / "a.zip", {f"{number:04d}": b"" for number in range(20)})

    def opened(*_: object) -> None:
        raise AssertionError("every entry was read")

    monkeypatch.setattr(archives, "MAX_ENTRIES", 1)
    monkeypatch.setattr(zipfile, "ZipFile", opened)
    assert "512 are allowed for at most 1 entries" in refusal(archive)
