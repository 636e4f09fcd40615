"""Sentence embeddings that ship with the app: all-MiniLM-L6-v2 with int8 weights, on the CPU."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memeapp.encoders.runtime import open_session
from memeapp.errors import Unavailable

FOLDER = Path(__file__).with_name("minilm")
MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
MAX_TOKENS = 128
"""Longer texts are cut here, [CLS] and [SEP] included: what the model was trained on."""
BATCH = 8
"""Larger ones are no faster on a CPU, and take more memory."""
THREADS = 2


class SentenceEncoder:
    """Mean of the token vectors of all-MiniLM-L6-v2, scaled to length 1. Thread-safe.

    Texts come as written, not through `normalise`: the tokenizer lower-cases and strips accents,
    and the model knows digits and punctuation. A text without a token is the zero vector.
    Source: Wang et al., *MiniLM*, NeurIPS 2020; minilm/NOTICE says where the weights come from.
    """

    width = 384

    def __init__(self, folder: Path = FOLDER) -> None:
        """Load `model.onnx` and `tokenizer.json` from the folder.

        Raises:
            Unavailable: if one of them is missing or is another file than this class stands for,
                or if onnxruntime or tokenizers is missing.
        """
        model = _read(folder / "model.onnx", MODEL_SHA256)
        vocabulary = _read(folder / "tokenizer.json", TOKENIZER_SHA256)
        try:
            from tokenizers import Tokenizer  # noqa: PLC0415
        except ImportError as error:
            raise Unavailable(
                f"The embedded encoder needs tokenizers ({error}); install it with "
                "`pip install -r requirements.txt`."
            ) from error
        self._tokenizer = Tokenizer.from_buffer(vocabulary)
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.no_padding()
        self._session = open_session(model, THREADS)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, 384). A row does not depend on the other texts, but for rounding (1e-6)."""
        rows = np.zeros((len(texts), self.width), np.float32)
        tokens = [self._tokens(text) for text in texts]
        # Texts of about one length share a batch; without tokens (2 = [CLS], [SEP]) in none.
        by_length = sorted(
            (place for place, ids in enumerate(tokens) if len(ids) > 2),
            key=lambda place: len(tokens[place]),
        )
        for start in range(0, len(by_length), BATCH):
            places = by_length[start : start + BATCH]
            rows[places] = self._forward([tokens[place] for place in places])
        return rows

    def _tokens(self, text: str) -> list[int]:
        # Lone surrogates go: the tokenizer takes none.
        clean = " ".join(text.split()).encode("utf-8", "ignore").decode()
        # One at a time: encode_batch would start a pool of threads of its own.
        ids: list[int] = self._tokenizer.encode(clean).ids
        return ids

    def _forward(self, tokens: list[list[int]]) -> NDArray[np.float32]:
        ids = np.zeros((len(tokens), max(map(len, tokens))), np.int64)
        mask = np.zeros_like(ids)
        for place, row in enumerate(tokens):
            ids[place, : len(row)] = row
            mask[place, : len(row)] = 1
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        (states,) = self._session.run(None, inputs)
        vectors: NDArray[np.float32] = np.einsum("ntw,nt->nw", states, mask.astype(np.float32))
        # The sum points where the mean does.
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors


def _read(path: Path, expected: str) -> bytes:
    """Models know an encoder by its id alone, so one id must always give the same vectors."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Unavailable(
            f"The embedded encoder cannot read {path} ({error}); restore the file."
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != expected:
        raise Unavailable(
            f"{path} has SHA-256 {digest}, the embedded encoder needs {expected}; restore the file."
        )
    return content
