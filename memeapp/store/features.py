"""Cached feature vectors, by encoder and picture or text: float32, little-endian."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memeapp.store.connections import Connections


def text_key(text: str) -> str:
    """The key under which the features of a text are stored: its SHA-256, hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Features(Connections):
    """Vectors that an encoder made, so that it makes each only once."""

    def put_image_features(self, encoder: str, rows: Mapping[str, NDArray[Any]]) -> None:
        """Store one vector (d,) for each picture id; a vector that is there is replaced.

        Raises:
            ValueError: naming the picture, if its vector is not flat or not finite.
        """
        self._put("image_features", encoder, rows)

    def image_features(self, encoder: str, ids: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        """The vectors (d,) of those pictures that have one."""
        return self._get("image_features", encoder, ids)

    def put_text_features(self, encoder: str, rows: Mapping[str, NDArray[Any]]) -> None:
        """Store one vector (d,) for each text (the text itself); see `put_image_features`."""
        keyed = {text_key(text): vector for text, vector in rows.items()}
        self._put("text_features", encoder, keyed)

    def text_features(self, encoder: str, texts: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        """The vectors (d,) of those texts that have one, by the text itself."""
        texts_by_key = {text_key(text): text for text in texts}
        found = self.text_features_of(encoder, texts_by_key)
        return {texts_by_key[key]: vector for key, vector in found.items()}

    def text_features_of(self, encoder: str, keys: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        """`text_features` by `text_key`, for who does not have the texts."""
        return self._get("text_features", encoder, keys)

    def without_image_features(self, encoder: str, ids: Sequence[str]) -> list[str]:
        """Those pictures that this encoder has not encoded, in the same order."""
        known = self._known("image_features", encoder, ids)
        return [id for id in ids if id not in known]

    def without_text_features(self, encoder: str, texts: Sequence[str]) -> list[str]:
        """Those texts that this encoder has not encoded, in the same order."""
        keys = [text_key(text) for text in texts]
        known = self._known("text_features", encoder, keys)
        return [text for text, key in zip(texts, keys, strict=True) if key not in known]

    def encoders(self) -> list[str]:
        """The encoders that have encoded a picture here, by name."""
        found: list[str] = []
        while True:  # One look into the index for each: DISTINCT would read all of it.
            (name,) = self._db.execute(
                "SELECT min(encoder) FROM image_features WHERE encoder > ?", [(found or [""])[-1]]
            ).fetchone()
            if name is None:
                return found
            found.append(name)

    def _known(self, table: str, encoder: str, keys: Sequence[str]) -> set[str]:
        rows = self._db.execute(
            "SELECT found.key FROM json_each(?) AS wanted"
            f" CROSS JOIN {table} AS found WHERE found.encoder = ? AND found.key = wanted.value",
            [json.dumps(list(keys)), encoder],
        )
        return {key for (key,) in rows}

    def _put(self, table: str, encoder: str, rows: Mapping[str, NDArray[Any]]) -> None:
        packed = [(encoder, key, _pack(key, vector)) for key, vector in rows.items()]
        with self._writing() as db:
            db.conn.executemany(
                f"INSERT INTO {table} (encoder, key, vector) VALUES (?, ?, ?)"
                " ON CONFLICT (encoder, key) DO UPDATE SET vector = excluded.vector",
                packed,
            )

    def _get(self, table: str, encoder: str, keys: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        # One JSON parameter holds any number of keys; SQLite limits the number of parameters.
        # CROSS JOIN: look each key up in the index; the planner would scan the table.
        rows = self._db.execute(
            "SELECT found.key, found.vector FROM json_each(?) AS wanted"
            f" CROSS JOIN {table} AS found WHERE found.encoder = ? AND found.key = wanted.value",
            [json.dumps(list(keys)), encoder],
        )
        return {key: np.frombuffer(vector, dtype="<f4").copy() for key, vector in rows}


def _pack(key: str, vector: NDArray[Any]) -> bytes:
    array = np.asarray(vector, dtype="<f4")
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError(
            f"The features of {key} must be one row of finite numbers; "
            f"they have the shape {array.shape}."
        )
    return array.tobytes()
