#!/usr/bin/env python3
"""Fit the words and pieces of the embedded encoder: memeapp/encoders/embedded.safetensors."""

from __future__ import annotations

import csv
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from memeapp.encoders.embedded import ANALYSERS, ASSET, ASSET_SHA256, EmbeddedEncoder
from memeapp.encoders.lexical import hash_terms


@click.command()
@click.argument("table", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=ASSET)
@click.option("--width", default=384, show_default=True, help="dimensions kept by each SVD")
@click.option("--min-words", default=3, show_default=True, help="texts that a word must occur in")
@click.option("--min-pieces", default=8, show_default=True, help="texts that a piece must occur in")
def main(table: Path, out: Path, width: int, min_words: int, min_pieces: int) -> None:
    """Learn idf and SVD of both blocks from the `text` column of TABLE (tab-separated, no quoting).

    The file keeps hashes of the terms, never the words. The same table gives the same file.
    """
    with table.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        texts = [row["text"] for row in rows]
    least = {"words": min_words, "pieces": min_pieces}
    tensors: dict[str, NDArray[Any]] = {}
    for block, analyse in ANALYSERS.items():
        fitted = _fit(texts, analyse, width, least[block], block)
        tensors |= {f"{block}.{name}": tensor for name, tensor in fitted.items()}
    save_file(tensors, out)
    click.echo(f"{out.stat().st_size / 1e6:.1f} MB in {out}")
    _say_what_to_change(hashlib.sha256(out.read_bytes()).hexdigest())


def _fit(
    texts: list[str], analyse: Callable[[str], list[str]], width: int, min_df: int, block: str
) -> dict[str, NDArray[Any]]:
    tfidf = TfidfVectorizer(analyzer=analyse, min_df=min_df, sublinear_tf=True)
    weights = tfidf.fit_transform(texts)
    svd = TruncatedSVD(width, n_iter=5, random_state=0).fit(weights)
    hashes = hash_terms(tfidf.get_feature_names_out())
    order = np.argsort(hashes)
    if np.any(np.diff(hashes[order]) == 0):
        raise click.ClickException(f"Two {block} share a 64-bit hash; choose another minimum.")
    components = svd.components_.T[order]
    scale = np.abs(components).max(axis=0) / 127
    click.echo(
        f"{block}: {len(texts)} texts, {len(hashes)} terms, {width} dimensions, "
        f"{svd.explained_variance_ratio_.sum():.1%} of the variance"
    )
    return {
        "hashes": hashes[order],
        "idf": tfidf.idf_[order].astype(np.float32),
        "components": np.ascontiguousarray(np.round(components / scale).astype(np.int8)),
        "scale": scale.astype(np.float32),
    }


def _say_what_to_change(digest: str) -> None:
    if digest == ASSET_SHA256:
        click.echo(f"It is the file of {EmbeddedEncoder.id!r}; nothing is to be changed.")
        return
    name, number = EmbeddedEncoder.id.rsplit("-", 1)
    click.echo(
        f"It is not the file of {EmbeddedEncoder.id!r}. To ship it, change in "
        "memeapp/encoders/embedded.py\n"
        f'    id = "{name}-{int(number) + 1}"\n'
        f'    ASSET_SHA256 = "{digest}"\n'
        "and train the shipped model again: models know an encoder by its id."
    )


if __name__ == "__main__":
    main()
