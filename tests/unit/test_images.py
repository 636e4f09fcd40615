from __future__ import annotations

import hashlib
import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from memeapp.errors import BadPicture
from memeapp.images import decode, decode_file


def gradient(width: int = 120, height: int = 80) -> Image.Image:
    rows, columns = np.mgrid[:height, :width]
    channels = (columns * 255 // width, rows * 255 // height, (rows + columns) % 256)
    return Image.fromarray(np.stack(channels, -1).astype(np.uint8))


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has almost no pixels: what a decompression bomb looks like."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_the_four_formats_open_with_id_and_hash(kind: str) -> None:
    data = encode(gradient(), kind)
    picture = decode(data)
    assert (picture.width, picture.height, picture.image.mode) == (120, 80, "RGB")
    assert picture.id == hashlib.sha256(data).hexdigest()
    assert len(picture.phash) == 16
    assert int(picture.phash, 16) >= 0


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "PPM", "ICO"])
def test_other_formats_are_refused_even_if_pillow_knows_them(kind: str) -> None:
    with pytest.raises(BadPicture, match="not a PNG, JPEG, WebP or GIF"):
        decode(encode(gradient(64, 64), kind))


def test_an_empty_file_is_refused_by_name() -> None:
    with pytest.raises(BadPicture, match=r"cat\.png is empty"):
        decode(b"", name="cat.png")


def test_a_text_file_named_png_is_refused_by_name() -> None:
    with pytest.raises(BadPicture, match=r"cat\.png is not a PNG"):
        decode(b"just some words\n" * 20, name="cat.png")


def test_a_truncated_jpeg_is_refused_by_name() -> None:
    data = encode(gradient(400, 300), "JPEG")
    with pytest.raises(BadPicture, match=r"cat\.jpg is truncated or damaged"):
        decode(data[: len(data) // 2], name="cat.jpg")


def test_too_many_bytes_are_refused_with_the_limit() -> None:
    with pytest.raises(BadPicture, match="2.0 MB, 1 MB are allowed"):
        decode(b"x" * 2 * 2**20, max_bytes=2**20)


@pytest.mark.parametrize(
    ("width", "height"), [(13_000, 13_000), (60_000, 60_000), (20_001, 10), (7000, 6000)]
)
def test_a_bomb_is_refused_by_its_header(width: int, height: int) -> None:
    with pytest.raises(BadPicture, match="40 megapixels"):
        decode(png_header(width, height))


@pytest.mark.parametrize(("width", "height"), [(7, 100), (100, 1), (1, 1), (16_000, 40)])
def test_a_sliver_is_refused(width: int, height: int) -> None:
    with pytest.raises(BadPicture, match="too thin"):
        decode(encode(Image.new("RGB", (width, height))))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_large_picture_is_shrunk_to_1600_and_keeps_its_shape(kind: str) -> None:
    picture = decode(encode(gradient(2400, 1200), kind))
    assert (picture.width, picture.height) == (1600, 800)


def test_exif_orientation_is_applied_and_then_gone() -> None:
    upright = gradient(120, 80)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter to the left: the reader turns it right
    picture = decode(encode(upright.rotate(90, expand=True), "PNG", exif=exif))
    assert np.array_equal(np.asarray(picture.image), np.asarray(upright))
    assert not picture.image.getexif()


def test_a_damaged_exif_block_does_not_cost_the_picture() -> None:
    data = encode(gradient(), "JPEG", exif=b"Exif\0\0garbage")
    assert decode(data).width == 120


def test_transparency_is_laid_on_white() -> None:
    clear = gradient().convert("RGBA")
    clear.putalpha(0)
    assert decode(encode(clear)).image.getextrema() == ((255, 255),) * 3


def test_a_transparent_palette_colour_becomes_white() -> None:
    flat = Image.new("P", (64, 64), 1)
    flat.putpalette([0, 0, 0, 10, 20, 30])
    assert decode(encode(flat, "GIF", transparency=1)).image.getpixel((5, 5)) == (255, 255, 255)


def test_a_cmyk_jpeg_keeps_its_colours() -> None:
    red = Image.new("CMYK", (64, 64), (0, 255, 255, 0))
    pixel = decode(encode(red, "JPEG", quality=95)).image.getpixel((30, 30))
    assert pixel[0] > 200
    assert max(pixel[1:]) < 60


def test_16_bit_grey_is_scaled_not_clipped() -> None:
    levels = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    grey = np.asarray(decode(encode(Image.fromarray(levels))).image)
    assert np.array_equal(grey[..., 0], levels >> 8)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_png_mode_opens_as_rgb(mode: str) -> None:
    assert decode(encode(gradient().convert(mode))).image.mode == "RGB"


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_the_first_frame_of_an_animation_is_taken(kind: str) -> None:
    red, blue = (Image.new("RGB", (64, 64), colour) for colour in ("red", "blue"))
    data = encode(red, kind, save_all=True, append_images=[blue], duration=100)
    pixel = decode(data).image.getpixel((30, 30))
    assert pixel[0] > 200
    assert pixel[2] < 60


def test_the_jpeg_for_the_store_carries_no_metadata() -> None:
    note = PngImagePlugin.PngInfo()
    note.add_text("comment", "where I live")
    picture = decode(encode(gradient(), pnginfo=note, icc_profile=b"profile"))
    stored = Image.open(io.BytesIO(picture.to_jpeg()))
    assert stored.format == "JPEG"
    assert set(stored.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def bits_apart(a: str, b: str) -> int:
    return (int(a, 16) ^ int(b, 16)).bit_count()


def test_the_hash_survives_compression_and_tells_pictures_apart() -> None:
    squares = np.random.default_rng(0).integers(0, 255, (2, 8, 8, 3), dtype=np.uint8)
    one, other = (Image.fromarray(colours).resize((240, 160)) for colours in squares)
    original = decode(encode(one))
    again = decode(encode(one, "JPEG", quality=60))
    assert original.id != again.id
    assert bits_apart(original.phash, again.phash) <= 8
    assert bits_apart(original.phash, decode(encode(other)).phash) > 8


def test_threads_decode_side_by_side() -> None:
    data = [encode(gradient(100 + number, 80), "JPEG") for number in range(12)]
    with ThreadPoolExecutor(4) as pool:
        assert [picture.width for picture in pool.map(decode, data)] == list(range(100, 112))


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a"]),
)
def test_random_bytes_are_refused_or_opened_but_nothing_else_happens(
    junk: bytes, magic: bytes
) -> None:
    try:
        picture = decode(magic + junk)
    except BadPicture:
        return
    assert picture.image.mode == "RGB"


@settings(deadline=None)
@given(
    kind=st.sampled_from(["PNG", "JPEG", "WEBP", "GIF"]),
    keep=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=5),
)
def test_truncated_and_altered_pictures_are_refused_or_opened(
    kind: str, keep: float, flips: list[tuple[float, int]]
) -> None:
    data = bytearray(encode(gradient(64, 48), kind))
    for place, value in flips:
        data[int(place * len(data))] = value
    try:
        picture = decode(bytes(data[: int(keep * len(data))]))
    except BadPicture:
        return
    assert picture.image.mode == "RGB"
    assert max(picture.image.size) <= 1600


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    huge = tmp_path / "huge.png"
    with huge.open("wb") as file:
        file.truncate(2**40)  # sparse: takes no room, but nobody could read it
    with pytest.raises(BadPicture, match=r"huge\.png has .* MB, 20 MB are allowed"):
        decode_file(huge)


def test_a_file_is_decoded_like_its_bytes_and_a_missing_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (32, 32), "teal").save(path)
    assert decode_file(path).id == decode(path.read_bytes()).id
    with pytest.raises(BadPicture, match=r"gone\.png"):
        decode_file(tmp_path / "gone.png")


def test_a_jpeg_of_endless_scans_is_refused_before_it_is_decoded() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(buffer, "JPEG", progressive=True)
    honest = buffer.getvalue()
    assert decode(honest).width == 64
    scan = honest[honest.rindex(b"\xff\xda") : -2]
    with pytest.raises(BadPicture, match="scans"):
        decode(honest[:-2] + scan * 200 + honest[-2:])
