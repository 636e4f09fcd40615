from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from conftest import TINY_CLIP, write_tiny_clip
from huggingface_hub import constants
from PIL import Image

from memeapp.encoders import OpenClipEncoder, check_encoder, hub, open_encoder
from memeapp.errors import BadSetting, Mismatch, Unavailable


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_clip(tmp_path_factory.mktemp("tiny-clip"), seed=0)


@pytest.fixture(scope="module")
def encoder(folder: Path) -> OpenClipEncoder:
    return OpenClipEncoder(f"local-dir:{folder}")


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_a_local_folder_opens_and_its_id_opens_it_again(
    folder: Path, encoder: OpenClipEncoder
) -> None:
    assert encoder.id.startswith(f"local-dir:{folder}#")
    again = open_encoder(encoder.id)
    assert again.id == encoder.id
    picture = noise(40, 30)
    assert np.array_equal(again.encode_images([picture]), encoder.encode_images([picture]))


def test_widths_and_types_are_as_announced_and_features_are_not_normalised(
    encoder: OpenClipEncoder,
) -> None:
    images = encoder.encode_images([noise(40, 30), noise(30, 40, 1)])
    texts = encoder.encode_texts(["a cat", "", "a much longer text " * 30])
    assert images.shape == (2, encoder.image_width) == (2, 16)
    assert texts.shape == (3, encoder.text_width) == (3, 16)
    assert images.dtype == texts.dtype == np.float32
    for rows in (images, texts):
        assert np.isfinite(rows).all()
        assert (np.abs(np.linalg.norm(rows, axis=1) - 1) > 1e-3).all()


def test_pictures_are_squashed_so_that_the_edges_count(encoder: OpenClipEncoder) -> None:
    plain = Image.new("RGB", (300, 100), "grey")
    caption = plain.copy()
    caption.paste("white", (0, 0, 40, 100))  # outside the square that a centre crop would keep
    before, after = encoder.encode_images([plain, caption])
    assert np.abs(before - after).max() > 1e-3


def test_pixels_are_resized_and_scaled_as_the_config_says(folder: Path) -> None:
    encoder = OpenClipEncoder(f"local-dir:{folder}")
    picture = noise(90, 50)
    squashed = np.asarray(picture.resize((32, 32), Image.Resampling.BICUBIC), np.float32) / 255
    scaled = (squashed - [0.5, 0.4, 0.3]) / [0.3, 0.2, 0.1]
    expected = torch.from_numpy(scaled.transpose(2, 0, 1)).float()
    assert torch.allclose(encoder._preprocess(picture), expected, atol=1e-5)


def test_rows_do_not_depend_on_the_batch(encoder: OpenClipEncoder) -> None:
    pictures = [noise(40, 30, seed) for seed in range(35)]
    texts = [f"{'very ' * (n % 7)}nice" for n in range(35)]
    alone = np.concatenate([encoder.encode_images([picture]) for picture in pictures])
    assert encoder.encode_images(pictures) == pytest.approx(alone, abs=1e-5)
    alone = np.concatenate([encoder.encode_texts([text]) for text in texts])
    assert encoder.encode_texts(texts) == pytest.approx(alone, abs=1e-5)


def test_texts_are_normalised_before_the_tokenizer(encoder: OpenClipEncoder) -> None:
    clean, written = encoder.encode_texts(["hello world", "Hello, WORLD! https://example.org 42"])
    assert np.array_equal(clean, written)


def test_nothing_to_encode_gives_empty_tables(encoder: OpenClipEncoder) -> None:
    assert encoder.encode_images([]).shape == (0, 16)
    assert encoder.encode_texts([]).shape == (0, 16)


def test_other_weights_in_the_folder_are_a_mismatch_that_names_both_hashes(
    tmp_path: Path,
) -> None:
    spec = f"local-dir:{write_tiny_clip(tmp_path, seed=1)}"
    old = OpenClipEncoder(spec).id
    write_tiny_clip(tmp_path, seed=2)
    new = OpenClipEncoder(spec).id
    assert old != new
    with pytest.raises(Mismatch) as caught:
        open_encoder(old)
    assert old.rpartition("#")[2] in str(caught.value)
    assert new.rpartition("#")[2] in str(caught.value)


def test_a_folder_without_a_model_is_a_bad_setting(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"open_clip_config\.json"):
        open_encoder(f"local-dir:{tmp_path}")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("zzz", "take `embedded`"),
        ("", "take `embedded`"),
        ("ViT-L-14/opnai", "did you mean ViT-L-14/openai"),
        ("/models/clip", "did you mean local-dir:/models/clip"),
        ("local-dir:/nowhere", "/nowhere is no open_clip model"),
        ("local-dir:~nobody-of-that-name/clip", "cannot be read"),
        (f"local-dir:/{'long' * 100}", "cannot be read"),
        ("local-dir:/\0", "cannot be read"),
    ],
)
def test_nonsense_and_paths_to_nothing_are_bad_settings_before_anything_is_loaded(
    spec: str, words: str
) -> None:
    for look in (check_encoder, open_encoder):
        with pytest.raises(BadSetting) as caught:
            look(spec)
        assert words in str(caught.value)


def test_the_embedded_encoder_of_another_release_is_a_mismatch_that_names_both() -> None:
    with pytest.raises(Mismatch, match=r"has the encoder embedded-\d+, not embedded-99"):
        open_encoder("embedded-99")


def test_an_encoder_that_can_be_had_passes_the_check(
    folder: Path, encoder: OpenClipEncoder
) -> None:
    for spec in ("embedded", f"local-dir:{folder}", encoder.id):
        check_encoder(spec)


def test_a_folder_with_damaged_weights_is_unavailable(tmp_path: Path) -> None:
    write_tiny_clip(tmp_path, seed=0)
    (tmp_path / "open_clip_model.safetensors").write_bytes(b"damaged")
    with pytest.raises(Unavailable, match="cannot load local-dir"):
        open_encoder(f"local-dir:{tmp_path}")


def test_an_unknown_tag_names_near_matches() -> None:
    with pytest.raises(BadSetting, match="did you mean ViT-L-14/openai"):
        open_encoder("ViT-L-14/opnai")


def test_an_unknown_architecture_names_what_can_be_taken() -> None:
    with pytest.raises(BadSetting, match="take `embedded`"):
        open_encoder("zzz")


@pytest.mark.parametrize("look", [check_encoder, open_encoder])
def test_weights_out_of_reach_are_unavailable_within_three_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: Callable[[str], object]
) -> None:
    class Silent:
        def head(self, url: str, timeout: float) -> None:
            time.sleep(60)

    monkeypatch.setattr(hub, "get_session", Silent)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    began = time.perf_counter()
    with pytest.raises(Unavailable, match="ViT-L-14/openai are not on this machine"):
        look("ViT-L-14/openai")
    assert time.perf_counter() - began < 10  # 2.5 s of waiting; the hub's client takes 46 s


def test_weights_in_the_cache_are_loaded_without_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tiny model under the name and repository of a real one, in the hub's cache layout."""

    class Forbidden:
        def head(self, url: str, timeout: float) -> None:
            raise AssertionError("asked the hub for weights that are here")

    snapshot = tmp_path / "models--timm--vit_base_patch32_clip_224.openai" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    write_tiny_clip(snapshot, seed=0)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "get_session", Forbidden)
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-B-32", TINY_CLIP)
    encoder = open_encoder("ViT-B-32/openai")
    assert encoder.id == "ViT-B-32/openai"
    assert encoder.encode_images([noise(40, 30)]).shape == (1, 16)
    assert not constants.HF_HUB_OFFLINE


def test_the_activation_follows_the_weights() -> None:
    assert hub.find_pretrained("ViT-L-14/openai").quick_gelu
    assert not hub.find_pretrained("ViT-B-32/laion2b_s34b_b79k").quick_gelu


def test_every_pretrained_tag_of_open_clip_is_found() -> None:
    for name, tag in open_clip.list_pretrained():
        pretrained = hub.find_pretrained(f"{name}/{tag}")
        assert pretrained.id == f"{name}/{tag}"
        assert "/" in pretrained.files[0][0]
