"""Encoders of pictures and texts, opened by name."""

from __future__ import annotations

from memeapp.encoders.base import Encoder
from memeapp.encoders.embedded import EmbeddedEncoder
from memeapp.encoders.open_clip import OpenClipEncoder

__all__ = ["EmbeddedEncoder", "Encoder", "OpenClipEncoder", "open_encoder"]


def open_encoder(spec: str) -> Encoder:
    """Open `embedded`, an open_clip `ARCHITECTURE/TAG`, `local-dir:/path` or any encoder's id.

    Raises:
        BadSetting: if there is no such architecture or tag; near matches are named.
        Unavailable: within about 3 s, if the weights are not here and cannot be fetched.
        Mismatch: if a `local-dir:` id names other weights than those in the folder.
    """
    if spec in ("embedded", EmbeddedEncoder.id):
        return EmbeddedEncoder()
    return OpenClipEncoder(spec)
