"""A version as one file, to carry to another place: packed, and checked whole when it comes in."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import zipfile
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

from memeapp.archives import BROKEN, check_contents, check_entry
from memeapp.errors import BadInput, Mismatch
from memeapp.labels import LabelSchema
from memeapp.learn import checkpoint
from memeapp.learn.checkpoint import Checkpoint
from memeapp.registry import MANIFEST as VERSION
from memeapp.service import receipt, snapshot
from memeapp.service.bundle_json import Contents, Told, check_json, read_json
from memeapp.service.receipt import Receipt
from memeapp.service.snapshot import Snapshot
from memeapp.store.connections import moment
from memeapp.types import ModelVersion

FORMAT = 1
MANIFEST = "bundle.json"
"""Names every other file with its SHA-256."""
MAX_BYTES = 500 * 2**20
"""Of a bundle, packed or not."""
SMALL = 8 * 2**20
MOST: Mapping[str, int] = {
    VERSION: SMALL,
    checkpoint.MANIFEST: SMALL,
    checkpoint.WEIGHTS: MAX_BYTES,
    snapshot.FILE: 64 * 2**20,
    "MODEL_CARD.md": SMALL,
    receipt.FILE: SMALL,
}
"""The files of a version that are packed, and the most bytes of each."""
NEEDED = (MANIFEST, VERSION, checkpoint.MANIFEST, checkpoint.WEIGHTS)
MAX_ROWS = 64 * 2**20
"""Bytes of a snapshot, unpacked."""
CHUNK = 2**20
UPLOADED_AS = "uploaded_as"
"""Among a version's `data`: what it was called where it came from."""

_EARLIEST = (1980, 1, 1, 0, 0, 0)


def pack(version: ModelVersion, into: IO[bytes]) -> None:
    """Write the bundle of a version; the same version gives the same bytes."""
    assert version.path is not None
    files = [version.path / name for name in MOST if (version.path / name).is_file()]
    hashes = {}
    for file in files:
        with file.open("rb") as source:
            hashes[file.name] = hashlib.file_digest(source, "sha256").hexdigest()
    contents = {"format": FORMAT, "name": version.name, "files": hashes}
    with zipfile.ZipFile(into, "w") as archive:
        archive.writestr(_entry(MANIFEST), json.dumps(contents, indent=2) + "\n")
        for file in files:
            with file.open("rb") as source, archive.open(_entry(file.name), "w") as target:
                while piece := source.read(CHUNK):
                    target.write(piece)


def unpack(file: IO[bytes], draft: Path, schema: LabelSchema) -> ModelVersion:
    """Put the files of a bundle into an empty folder, once everything in it was found sound.

    Weights are read as safetensors and nothing else; nothing of a bundle is ever run.

    Args:
        file: the bundle, to be read from any place.
        schema: the labels that it has to know.

    Returns:
        What its `version.json` tells, with the name that it had under `data[UPLOADED_AS]`; it
        bears that name still.

    Raises:
        BadInput: it is no bundle, is damaged, or holds something that is not taken.
        Mismatch: its labels are not those in force here.
        OSError: the disk is full.
    """
    try:
        check_contents(file, len(MOST) + 1, "The bundle")
        with zipfile.ZipFile(file) as archive:
            entries = _checked(archive.infolist())
            contents = _contents(archive, entries)
            for name, digest in contents.files.items():
                _extract(archive, entries[name], draft / name, digest)
    except (*BROKEN, OSError) as error:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise BadInput(
            f"That is no bundle of a version, or it is damaged ({error}); download it again."
        ) from error
    return _version(draft, contents.name, schema)


def _entry(name: str) -> zipfile.ZipInfo:
    """Of weights, which no packing makes smaller, the bytes as they are."""
    info = zipfile.ZipInfo(name, _EARLIEST)
    plain = name in (checkpoint.WEIGHTS, snapshot.FILE)
    info.compress_type = zipfile.ZIP_STORED if plain else zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return info


def _checked(infos: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """The entries by their names. Raises: BadInput, if there is one that is not taken."""
    entries: dict[str, zipfile.ZipInfo] = {}
    limits = {**MOST, MANIFEST: SMALL}
    for info in infos:
        name, entry = info.orig_filename, f"Entry {info.orig_filename[:80]!r} of the bundle"
        if name not in limits:
            raise BadInput(
                f"{entry} does not belong there: a bundle has {', '.join(limits)} and nothing else."
            )
        if name in entries:
            raise BadInput(f"{entry} is there twice.")
        check_entry(info, entry)
        if info.file_size > limits[name]:
            raise BadInput(
                f"{entry} unpacks to {info.file_size:,} bytes, {limits[name]:,} are allowed."
            )
        entries[name] = info
    if missing := [name for name in NEEDED if name not in entries]:
        raise BadInput(f"That is no bundle of a version: it has no {', no '.join(missing)}.")
    return entries


def _contents(archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo]) -> Contents:
    found = read_json(archive.read(entries[MANIFEST]), MANIFEST, Contents)
    if found.format != FORMAT:
        raise BadInput(
            f"The bundle has the format {found.format}, this program reads {FORMAT}; use the "
            "program's version that packed it."
        )
    if odd := sorted(set(found.files) ^ (set(entries) - {MANIFEST})):
        raise BadInput(
            f"{odd[0][:80]!r} is in the bundle or in its {MANIFEST}, but not in both; download it "
            "again."
        )
    return found


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, digest: str) -> None:
    # A file never grows beyond the size that was judged: zipfile stops reading there.
    with archive.open(info) as source, target.open("xb") as copy:
        found = hashlib.sha256()
        while piece := source.read(CHUNK):
            found.update(piece)
            copy.write(piece)
    if found.hexdigest() != digest:
        raise BadInput(
            f"{target.name} has the SHA-256 {found.hexdigest()}, {MANIFEST} names {digest}; "
            "download the bundle again."
        )


def _version(draft: Path, name: str, schema: LabelSchema) -> ModelVersion:
    """What the files in the folder tell of themselves, once they agree. Raises: as `unpack`."""
    content = (draft / VERSION).read_bytes()
    told = read_json(content, VERSION, Told)
    check_json((draft / checkpoint.MANIFEST).read_bytes(), checkpoint.MANIFEST)
    if told.created_at > datetime.now(UTC) + timedelta(days=1):
        raise BadInput(f"{VERSION} says that it was made in the future: {told.created_at}.")
    raw = json.loads(content)
    version = ModelVersion(
        name=told.name,
        created_at=moment(told.created_at),
        encoder=told.encoder,
        labels=tuple(told.labels),
        parent=told.parent,
        recipe=told.recipe,
        data={**raw["data"], UPLOADED_AS: told.name},
        metrics=raw["metrics"],
    )
    if told.name != name:
        raise BadInput(f"{MANIFEST} tells of the version {name}, {VERSION} of {told.name}.")
    schema.check_version(version)
    model = _model(draft)
    if (model.encoder, model.labels) != (version.encoder, version.labels):
        raise Mismatch(
            f"{VERSION} tells of encoder {version.encoder} and the labels "
            f"{', '.join(version.labels)}, {checkpoint.MANIFEST} of {model.encoder} and "
            f"{', '.join(model.labels)}; the two are not of one version."
        )
    if (draft / snapshot.FILE).exists():
        _check_snapshot((draft / snapshot.FILE).read_bytes(), version)
    if (draft / receipt.FILE).exists():
        Receipt.from_bytes((draft / receipt.FILE).read_bytes())
    return version


def _model(draft: Path) -> Checkpoint:
    try:
        return Checkpoint.load(draft)
    except Exception as error:  # whatever a made-up file sets off in there: it is no model
        said = str(error).replace(f"{draft.name}/", "")[:500]
        raise BadInput(f"The bundle holds no model that can be used here. {said}") from error


def _check_snapshot(content: bytes, version: ModelVersion) -> None:
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        unpacking.decompress(content, MAX_ROWS)
        if unpacking.unconsumed_tail or unpacking.unused_data:
            raise BadInput(
                f"{snapshot.FILE} unpacks to more than {MAX_ROWS:,} bytes, or is in several parts."
            )
        frozen = Snapshot.from_bytes(content)
    except (zlib.error, gzip.BadGzipFile, RecursionError, AttributeError) as error:
        raise BadInput(f"{snapshot.FILE} is no snapshot of a training: {error}.") from error
    if (frozen.encoder, frozen.labels) != (version.encoder, version.labels):
        raise Mismatch(f"{snapshot.FILE} is not of this version: its encoder or labels differ.")
