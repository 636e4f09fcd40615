"""Untrusted bytes in, a safe upright RGB picture with content id and perceptual hash out."""

from __future__ import annotations

import contextlib
import hashlib
import io
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from memeapp.errors import BadPicture

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
MAX_PIXELS = 40_000_000
MAX_SIDE = 20_000
MIN_SIDE = 8
LONGEST_SIDE = 1600
MAX_SCANS = 100
"""Scans of a progressive JPEG; encoders write about ten, and each is a pass over all pixels."""

# One decode at a time bounds the memory, and `warnings.catch_warnings` is not thread-safe.
_decoding = threading.Lock()


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture. `id` is the SHA-256 (hex) of the bytes that came in.

    `image` is RGB, upright, its longest side at most 1600 pixels, without metadata.
    `phash` is a 64-bit perceptual hash as 16 hex digits.
    """

    id: str
    image: Image.Image
    phash: str

    @property
    def width(self) -> int:
        return self.image.width

    @property
    def height(self) -> int:
        return self.image.height

    def to_jpeg(self) -> bytes:
        """JPEG of quality 95 without chroma subsampling (captions stay sharp) or metadata."""
        buffer = io.BytesIO()
        self.image.save(buffer, "JPEG", quality=95, subsampling=0)
        return buffer.getvalue()


def decode(data: bytes, *, name: str = "picture", max_bytes: int = 20 * 2**20) -> Picture:
    """Open a PNG, JPEG, WebP or GIF (first frame) from outside.

    The header is judged before a pixel is decoded. EXIF orientation is applied, transparency
    is laid on white, and nothing of the metadata is kept. Thread-safe.

    Raises:
        BadPicture: empty, too large in bytes or pixels, too thin, truncated or no such picture.
    """
    if not data:
        raise BadPicture(f"{name} is empty; choose a picture file.")
    if len(data) > max_bytes:
        raise BadPicture(_too_many_bytes(name, len(data), max_bytes))
    with _decoding, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = _decode(data, name)
    return Picture(hashlib.sha256(data).hexdigest(), image, str(imagehash.phash(image)))


def decode_file(path: Path, *, max_bytes: int = 20 * 2**20) -> Picture:
    """`decode` of a file, whose size is judged before it is read.

    Raises:
        BadPicture: as `decode`, or the file cannot be read.
    """
    try:
        if path.stat().st_size > max_bytes:
            raise BadPicture(_too_many_bytes(path.name, path.stat().st_size, max_bytes))
        return decode(path.read_bytes(), name=path.name, max_bytes=max_bytes)
    except OSError as error:
        raise BadPicture(f"{path.name} cannot be read ({error.strerror}).") from error


def _too_many_bytes(name: str, size: int, limit: int) -> str:
    return f"{name} has {size / 2**20:.1f} MB, {limit / 2**20:g} MB are allowed; save it smaller."


def _decode(data: bytes, name: str) -> Image.Image:
    # A start-of-scan marker cannot occur inside the compressed data of a scan.
    if data.startswith(b"\xff\xd8") and data.count(b"\xff\xda") > MAX_SCANS:
        raise BadPicture(f"{name} has more than {MAX_SCANS} scans; save it as a plain JPEG.")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            _check_size(opened.width, opened.height, name)
            # Lets libjpeg decode at a half, a quarter or an eighth; other formats ignore it.
            opened.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
            opened.load()
            image = _to_rgb(opened)
    except BadPicture:
        raise
    except UnidentifiedImageError as error:
        raise BadPicture(
            f"{name} is not a PNG, JPEG, WebP or GIF picture, whatever its name says; "
            "save it in one of these formats."
        ) from error
    except Image.DecompressionBombError as error:
        raise BadPicture(
            f"{name} has more than {MAX_PIXELS // 10**6} megapixels; save it smaller."
        ) from error
    except Exception as error:  # Pillow's decoders raise a dozen kinds on hostile bytes.
        raise BadPicture(
            f"{name} is truncated or damaged ({error}); download or save it again."
        ) from error
    # Drops what Pillow would write back: comments, profiles, EXIF.
    image.info.clear()
    return image


def _check_size(width: int, height: int, name: str) -> None:
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise BadPicture(
            f"{name} has {width:,} x {height:,} pixels; {MAX_PIXELS // 10**6} megapixels and "
            f"{MAX_SIDE:,} pixels a side are allowed. Save it smaller."
        )
    shorter, longer = sorted((width, height))
    if shorter * min(1, LONGEST_SIDE / max(longer, 1)) < MIN_SIDE:
        raise BadPicture(
            f"{name} has {width:,} x {height:,} pixels, too thin to show anything; shrunk to "
            f"{LONGEST_SIDE} pixels both sides must have at least {MIN_SIDE}."
        )


def _to_rgb(image: Image.Image) -> Image.Image:
    """Upright RGB, shrunk; the order keeps the number of full-size copies at one."""
    if image.mode.startswith("I"):  # 16-bit grey: convert() would clip instead of scale.
        levels = np.asarray(image)
        image = Image.fromarray((levels >> 8).astype(np.uint8))
    transparent = image.has_transparency_data
    small = image.convert("RGBA" if transparent else "RGB")
    small.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    with contextlib.suppress(Exception):  # A damaged EXIF block says nothing about the pixels.
        ImageOps.exif_transpose(small, in_place=True)
    if transparent:
        white = Image.new("RGBA", small.size, "white")
        small = Image.alpha_composite(white, small).convert("RGB")
    return small
