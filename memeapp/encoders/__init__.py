"""Encoders of pictures and texts, opened by name."""

from __future__ import annotations

from memeapp.encoders.base import Encoder
from memeapp.encoders.embedded import EmbeddedEncoder
from memeapp.encoders.open_clip import OpenClipEncoder, check_open_clip
from memeapp.errors import Mismatch

__all__ = ["EmbeddedEncoder", "Encoder", "OpenClipEncoder", "check_encoder", "open_encoder"]


def check_encoder(spec: str) -> None:
    """Say within 3 s if an encoder cannot be had here, without loading it.

    Raises:
        BadSetting, Unavailable, Mismatch: as `open_encoder` does.
    """
    if not _is_embedded(spec):
        check_open_clip(spec)


def open_encoder(spec: str) -> Encoder:
    """Open `embedded`, an open_clip `ARCHITECTURE/TAG`, `local-dir:/path` or any encoder's id.

    Raises:
        BadSetting: if there is no such architecture or tag; near matches are named.
        Unavailable: within about 3 s, if the weights are not here and cannot be fetched.
        Mismatch: if a `local-dir:` id names other weights than those in the folder, or the id is
            that of another release's embedded encoder.
    """
    return EmbeddedEncoder() if _is_embedded(spec) else OpenClipEncoder(spec)


def _is_embedded(spec: str) -> bool:
    if spec in ("embedded", EmbeddedEncoder.id):
        return True
    if spec.startswith("embedded-"):
        raise Mismatch(
            f"This release has the encoder {EmbeddedEncoder.id}, not {spec}; retrain on `embedded`."
        )
    return False
