"""Texts as counted words or pieces of words: TF-IDF over hashed terms, reduced by an SVD."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from memeapp.text import normalise


def words(text: str) -> list[str]:
    """Word 1-grams and 2-grams of the normalised text; one-letter words are left out."""
    long = [word for word in normalise(text).split() if len(word) > 1]
    return long + [" ".join(pair) for pair in pairwise(long)]


def pieces(text: str) -> list[str]:
    """Character 3-, 4- and 5-grams within the words of the normalised text, with their edges.

    As scikit-learn's `char_wb`: each word has one space on either side, "at" gives " at", "at ",
    " at ".
    """
    return [
        padded[start : start + length]
        for padded in (f" {word} " for word in normalise(text).split())
        for length in (3, 4, 5)
        for start in range(len(padded) - length + 1)
    ]


def hash_terms(terms: Collection[str]) -> NDArray[np.uint64]:
    """64-bit BLAKE2b of each term, little-endian."""
    digests = [hashlib.blake2b(term.encode(), digest_size=8).digest() for term in terms]
    return np.frombuffer(b"".join(digests), "<u8")


@dataclass(frozen=True, eq=False)
class TermSpace:
    """T known terms in W dimensions. Thread-safe.

    A text is the sum over its known terms of (1 + ln count) x idf x the term's row of the SVD's
    components, scaled to length 1.
    """

    analyse: Callable[[str], list[str]]
    """The terms of a text, as often as they occur."""
    hashes: NDArray[np.uint64]
    """(T,), ascending: `hash_terms` of the known terms. The words themselves are not kept."""
    idf: NDArray[np.float32]
    """(T,)"""
    components: NDArray[np.int8]
    """(T, W), in units of `scale`."""
    scale: NDArray[np.float32]
    """(W,)"""

    @property
    def width(self) -> int:
        """W, the length of a vector."""
        return len(self.scale)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, W), rows of length 1; zero for a text without a known term."""
        rows = np.zeros((len(texts), self.width), np.float32)
        for row, text in zip(rows, texts, strict=True):
            row[:] = self._encode_one(text)
        return rows

    def _encode_one(self, text: str) -> NDArray[np.float32]:
        counted = Counter(self.analyse(text))
        wanted = hash_terms(counted)
        counts = np.fromiter(counted.values(), np.float32, len(counted))
        places = np.searchsorted(self.hashes, wanted).clip(max=len(self.hashes) - 1)
        known = self.hashes[places] == wanted
        places = places[known]
        weights = (1 + np.log(counts[known])) * self.idf[places]
        vector: NDArray[np.float32] = weights @ self.components[places].astype(np.float32)
        vector *= self.scale
        length = np.linalg.norm(vector)
        return vector / length if length > 0 else vector
