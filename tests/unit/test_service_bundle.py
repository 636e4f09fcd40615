"""A version goes out as one file and comes in bit for bit, and nothing else comes in."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import pickle
import random
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from learning import SMALL, make_checkpoint
from safetensors.torch import load, save

from memeapp.errors import BadInput, MemeAppError, Mismatch
from memeapp.labels import Label, LabelSchema
from memeapp.registry import Registry
from memeapp.service import bundle
from memeapp.service.snapshot import FILE as SNAPSHOT
from memeapp.service.snapshot import Row, Snapshot
from memeapp.types import ModelVersion

SCHEMA = LabelSchema(Label("misogynous", "M"), (Label("shaming", "S"),))
FROZEN = Snapshot(
    taken_at="2026-01-02T03:04:05.000+00:00",
    last_vote=7,
    votes=7,
    labels=SCHEMA.names,
    encoder="embedded-2",
    recipe=json.loads(json.dumps(SMALL.to_dict())),
    seed=4,
    features="0" * 64,
    rows=(Row("a meme", "a text", "a meme", 1.0, (0.5, None)),),
)

Files = dict[str, bytes]


@pytest.fixture
def version(tmp_path: Path) -> ModelVersion:
    return Registry(tmp_path / "none", tmp_path / "there").add(
        make_checkpoint(text=4, encoder="embedded-2", labels=SCHEMA.names),
        parent="v0000-20260101",
        recipe="best",
        data={"labelled": 30, "snapshot": FROZEN.hash},
        metrics={"rows": 3, "task_a": {"value": 0.7, "low": 0.6, "high": 0.8}},
        files={SNAPSHOT: FROZEN.to_bytes()},
    )


@pytest.fixture
def files(version: ModelVersion) -> Files:
    assert version.path is not None
    return {file.name: file.read_bytes() for file in version.path.iterdir()}


@pytest.fixture
def here(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "none", tmp_path / "here")


def packed(version: ModelVersion) -> bytes:
    bundle.pack(version, file := io.BytesIO())
    return file.getvalue()


def zipped(files: Files, contents: object = None, *, name: str = "", **entries: bytes) -> bytes:
    """A bundle of these files with hashes that are right, unless `contents` says something else."""
    told = json.loads(files["version.json"])["name"]
    hashes = {one: hashlib.sha256(content).hexdigest() for one, content in files.items()}
    right = {"format": 1, "name": name or told, "files": hashes}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bundle.json", json.dumps(contents or right))
        for one, content in files.items():
            archive.writestr(one, content)
    return file.getvalue()


def take(registry: Registry, content: bytes) -> ModelVersion:
    with registry.draft() as draft:
        return registry.publish(draft, bundle.unpack(io.BytesIO(content), draft, SCHEMA))


def left(registry: Registry) -> list[str]:
    return sorted(path.name for path in registry._folder.iterdir())


def test_a_version_comes_in_bit_for_bit_under_the_next_free_name(
    version: ModelVersion, files: Files, here: Registry
) -> None:
    came = take(here, packed(version))
    assert came.path is not None and came.name.startswith("v0001-")
    copies = {file.name: file.read_bytes() for file in came.path.iterdir()}
    del files["version.json"], copies["version.json"]
    assert copies == files
    assert came.data == {**version.data, "uploaded_as": version.name}
    told = replace(version, name=came.name, data=came.data, path=came.path)
    assert came == told
    assert (
        here.load(came.name).weights_hash
        == hashlib.sha256(files["weights.safetensors"]).hexdigest()
    )
    assert take(here, packed(version)).name.startswith("v0002-")


def test_a_version_packed_twice_gives_the_same_file(version: ModelVersion) -> None:
    assert packed(version) == packed(version)


def test_a_bundle_holds_the_files_it_knows_and_no_others(version: ModelVersion) -> None:
    assert version.path is not None
    (version.path / "secret.key").write_text("secret")
    with zipfile.ZipFile(io.BytesIO(packed(version))) as archive:
        names = archive.namelist()
    assert sorted(names) == [
        "bundle.json",
        "model.json",
        "snapshot.jsonl.gz",
        "version.json",
        "weights.safetensors",
    ]


def with_json(file: str, /, **changes: object) -> Callable[[Files], bytes]:
    def change(files: Files) -> bytes:
        told = {**json.loads(files[file]), **changes}
        return zipped({**files, file: json.dumps(told).encode()})

    return change


def with_file(name: str, content: bytes) -> Callable[[Files], bytes]:
    return lambda files: zipped({**files, name: content})


def with_weights(change: Callable[[bytes], bytes]) -> Callable[[Files], bytes]:
    """Other weights, which model.json and bundle.json both vouch for."""

    def changed(files: Files) -> bytes:
        weights = change(files["weights.safetensors"])
        digest = hashlib.sha256(weights).hexdigest()
        model = {**json.loads(files["model.json"]), "weights_sha256": digest}
        new = {"weights.safetensors": weights, "model.json": json.dumps(model).encode()}
        return zipped({**files, **new})

    return changed


def nan_in(content: bytes) -> bytes:
    tensors = load(content)
    tensors["mean.image"] = torch.full_like(tensors["mean.image"], float("nan"))
    return save(tensors)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("pytest.fail('a pickle was loaded')",)


def without(name: str) -> Callable[[Files], bytes]:
    return lambda files: zipped({one: files[one] for one in files if one != name})


def twice(files: Files) -> bytes:
    file = io.BytesIO(zipped(files))
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(file, "a") as archive:
        archive.writestr("model.json", b"{}")
    return file.getvalue()


def link(files: Files) -> bytes:
    file = io.BytesIO(zipped(files))
    with zipfile.ZipFile(file, "a") as archive:
        entry = zipfile.ZipInfo("MODEL_CARD.md")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    return file.getvalue()


def many(files: Files) -> bytes:
    """The number of entries that the end of the zip tells is a lie."""
    content = zipped({**files, **{f"{number:04d}": b"" for number in range(200)}})
    end = content.rindex(b"PK\5\6")
    return content[: end + 8] + bytes([6, 0, 6, 0]) + content[end + 12 :]


def snapshot(**changes: object) -> bytes:
    return replace(FROZEN, **changes).to_bytes()  # type: ignore[arg-type]


BAD: dict[str, tuple[Callable[[Files], bytes], type[MemeAppError], str]] = {
    "no zip": (lambda files: b"words", BadInput, "no bundle of a version"),
    "nothing": (lambda files: b"", BadInput, "no bundle of a version"),
    "truncated": (lambda files: zipped(files)[:-400], BadInput, "download it again"),
    "path traversal": (with_file("../model.json", b"{}"), BadInput, "does not belong"),
    "absolute path": (with_file("/etc/cron.d/x", b""), BadInput, "does not belong"),
    "folder": (with_file("folder/", b""), BadInput, "does not belong"),
    "file in a folder": (with_file("folder/model.json", b"{}"), BadInput, "does not belong"),
    "name with a NUL": (
        lambda files: zipped({**files, "MODEL_CARD.md_exe": b""}).replace(b"md_exe", b"md\0exe"),
        BadInput,
        "does not belong",
    ),
    "extra file": (with_file("notes.txt", b"words"), BadInput, "'notes.txt'"),
    "pickle file": (with_file("weights.pkl", pickle.dumps(Evil())), BadInput, "'weights.pkl'"),
    "pickle as weights": (
        with_weights(lambda _: pickle.dumps(Evil())),
        BadInput,
        "no model that can be used",
    ),
    "pickle as snapshot": (with_file(SNAPSHOT, pickle.dumps(Evil())), BadInput, "no snapshot"),
    "NaN in the weights": (with_weights(nan_in), BadInput, "not finite"),
    "NaN in model.json": (
        with_json("model.json", thresholds=[float("nan"), 0.5]),
        BadInput,
        "model.json cannot be used: NaN",
    ),
    "endless number": (
        lambda files: zipped({**files, "model.json": b'{"format": 1e999}'}),
        BadInput,
        "1e999 is no number",
    ),
    "deep JSON": (with_file("model.json", b"[" * 100_000), BadInput, "cannot be used"),
    "other labels": (with_json("version.json", labels=["a", "b"]), Mismatch, "the labels a, b"),
    "labels of the model": (with_json("model.json", labels=["a", "b"]), Mismatch, "a, b"),
    "encoder of the model": (with_json("model.json", encoder="other-1"), Mismatch, "other-1"),
    "extra field": (with_json("version.json", run="rm -rf"), BadInput, "version.json .*run"),
    "field of another type": (with_json("version.json", data=["x"]), BadInput, "data"),
    "metrics that no page can show": (
        with_json("version.json", metrics={"task_a": "good"}),
        BadInput,
        "metrics.task_a",
    ),
    "name that is a path": (with_json("version.json", name="../v1"), BadInput, "name"),
    "made before there were computers": (
        with_json("version.json", created_at="0001-01-01T00:00:00+14:00"),
        BadInput,
        "created_at",
    ),
    "made beyond the last year": (
        with_json("version.json", created_at="9999-12-31T23:59:00-14:00"),
        BadInput,
        "in the future",
    ),
    "figure beyond any": (
        with_json("version.json", metrics={"task_a": {"value": -1e308, "low": 0, "high": 0}}),
        BadInput,
        "no number that is taken",
    ),
    "whole figure beyond any": (
        with_json("version.json", metrics={"task_a": {"value": 10**308, "low": 0, "high": 0}}),
        BadInput,
        "no number that is taken",
    ),
    "figure of a receipt beyond any": (
        with_file("receipt.json", b'{"curve":{"points":[{"task_a":{"low":-1e308}}]}}'),
        BadInput,
        "receipt.json .*no number that is taken",
    ),
    "many entries": (many, BadInput, "table of contents of"),
    "made in the future": (
        with_json("version.json", created_at="9999-01-01T00:00:00+00:00"),
        BadInput,
        "in the future",
    ),
    "made at no time zone": (
        with_json("version.json", created_at="2026-01-01T00:00:00"),
        BadInput,
        "created_at",
    ),
    "wrong hash": (
        lambda files: zipped({**files, "MODEL_CARD.md": b"x"}, contents_of(files, b"y")),
        BadInput,
        "MODEL_CARD.md has the SHA-256",
    ),
    "file that is not named": (
        lambda files: zipped({**files, "MODEL_CARD.md": b"x"}, contents_of(files)),
        BadInput,
        "not in both",
    ),
    "other name": (lambda files: zipped(files, name="v0009-20260101"), BadInput, "v0009"),
    "other format": (
        lambda files: zipped(files, {"format": 2, "name": "v1", "files": {}}),
        BadInput,
        "format 2",
    ),
    "no weights": (without("weights.safetensors"), BadInput, "no weights.safetensors"),
    "no version.json": (
        lambda files: zipped(files).replace(b"version.json", b"Version.json"),
        BadInput,
        "does not belong",
    ),
    "entry twice": (twice, BadInput, "twice"),
    "link": (link, BadInput, "link or a device"),
    "zip bomb": (with_file("MODEL_CARD.md", bytes(8 * 2**20)), BadInput, "times its size"),
    "file too large": (
        with_file("MODEL_CARD.md", random.Random(1).randbytes(bundle.SMALL + 1)),
        BadInput,
        "are allowed",
    ),
    "bomb in the snapshot": (
        with_file(SNAPSHOT, gzip.compress(bytes(bundle.MAX_ROWS + 2**20))),
        BadInput,
        "unpacks to more",
    ),
    "receipt of another kind": (with_file("receipt.json", b"[]"), BadInput, "receipt.json"),
    "snapshot in two parts": (
        with_file(SNAPSHOT, FROZEN.to_bytes() + gzip.compress(b"more")),
        BadInput,
        "several parts",
    ),
    "snapshot of another version": (
        with_file(SNAPSHOT, snapshot(encoder="other-1")),
        Mismatch,
        "not of this version",
    ),
}


def contents_of(files: Files, card: bytes | None = None) -> dict[str, object]:
    """What bundle.json says of these files, and of a card that is another one."""
    told = {**files, **({"MODEL_CARD.md": card} if card else {})}
    return {
        "format": 1,
        "name": json.loads(files["version.json"])["name"],
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in told.items()},
    }


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_bundle_is_refused_in_words_and_leaves_nothing(
    files: Files, here: Registry, tmp_path: Path, kind: str
) -> None:
    make, error, words = BAD[kind]
    content = make(files)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(error, match=words) as raised:
        take(here, content)
    assert str(tmp_path) not in str(raised.value)
    assert ".draft-" not in str(raised.value)
    assert left(here) == []
    assert [path for path in tmp_path.rglob("*") if path not in before] == [tmp_path / "here"]


def test_damage_anywhere_is_refused_or_harms_nothing(files: Files, here: Registry) -> None:
    whole = zipped(files)
    chance = random.Random(3)
    right = hashlib.sha256(files["weights.safetensors"]).hexdigest()
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(chance.choice([1, 1, 8])):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            came = take(here, bytes(damaged[: chance.choice([None, None, len(whole) // 2])]))
        except MemeAppError:
            refused += 1
        else:
            assert here.load(came.name).weights_hash == right
    assert refused > 50
    assert not [name for name in left(here) if name.startswith(".draft")]


def test_a_table_of_contents_that_is_too_long_is_never_read(
    files: Files, here: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*_: object) -> None:
        raise AssertionError("every entry was read")

    content = many(files)
    monkeypatch.setattr(zipfile, "ZipFile", opened)
    with pytest.raises(BadInput, match="at most 7 entries"):
        take(here, content)
