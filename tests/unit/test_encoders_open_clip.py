from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import save_file

from memeapp.encoders import OpenClipEncoder, hub, open_encoder
from memeapp.errors import BadSetting, Mismatch, Unavailable

TINY: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 8, "head_width": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of a few thousand random weights in open_clip's own folder layout."""
    path = tmp_path_factory.mktemp("tiny-clip")
    return write_model(path, seed=0)


def write_model(path: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    model = open_clip.CLIP(**TINY)
    save_file(model.state_dict(), path / "open_clip_model.safetensors")
    config = {
        "model_cfg": TINY,
        "preprocess_cfg": {"mean": [0.5, 0.4, 0.3], "std": [0.3, 0.2, 0.1]},
    }
    (path / "open_clip_config.json").write_text(json.dumps(config))
    return path


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
    spec = f"local-dir:{write_model(tmp_path, seed=1)}"
    old = OpenClipEncoder(spec).id
    write_model(tmp_path, seed=2)
    new = OpenClipEncoder(spec).id
    assert old != new
    with pytest.raises(Mismatch) as caught:
        open_encoder(old)
    assert old.rpartition("#")[2] in str(caught.value)
    assert new.rpartition("#")[2] in str(caught.value)


def test_a_folder_without_a_model_is_a_bad_setting(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"open_clip_config\.json"):
        open_encoder(f"local-dir:{tmp_path}")


def test_a_folder_with_damaged_weights_is_unavailable(tmp_path: Path) -> None:
    write_model(tmp_path, seed=0)
    (tmp_path / "open_clip_model.safetensors").write_bytes(b"damaged")
    with pytest.raises(Unavailable, match="cannot load local-dir"):
        open_encoder(f"local-dir:{tmp_path}")


def test_an_unknown_tag_names_near_matches() -> None:
    with pytest.raises(BadSetting, match="did you mean ViT-L-14/openai"):
        open_encoder("ViT-L-14/opnai")


def test_an_unknown_architecture_names_what_can_be_taken() -> None:
    with pytest.raises(BadSetting, match="take `embedded`"):
        open_encoder("zzz")


def test_weights_out_of_reach_are_unavailable_within_three_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent:
        def head(self, url: str, timeout: float) -> None:
            time.sleep(60)

    monkeypatch.setattr(hub, "get_session", Silent)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    began = time.perf_counter()
    with pytest.raises(Unavailable, match="ViT-L-14/openai are not on this machine"):
        open_encoder("ViT-L-14/openai")
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
    write_model(snapshot, seed=0)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "get_session", Forbidden)
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-B-32", TINY)
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
