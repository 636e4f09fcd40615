#!/usr/bin/env python3
"""Fit the text part of the embedded encoder and write memeapp/encoders/embedded.safetensors."""

from __future__ import annotations

import csv
import hashlib
import sys
from pathlib import Path

import click
import numpy as np
from safetensors.numpy import save_file
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from memeapp.encoders.embedded import (
    ASSET,
    ASSET_SHA256,
    EmbeddedEncoder,
    hash_terms,
    terms,
)


@click.command()
@click.argument("table", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=ASSET)
@click.option("--width", default=768, show_default=True, help="dimensions kept by the SVD")
@click.option("--min-df", default=3, show_default=True, help="texts that a term must occur in")
def main(table: Path, out: Path, width: int, min_df: int) -> None:
    """Learn idf and SVD from the `text` column of TABLE (tab-separated, no quoting).

    The file keeps hashes of the terms, never the words. The same table gives the same file.
    """
    with table.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        texts = [row["text"] for row in rows]
    tfidf = TfidfVectorizer(analyzer=terms, min_df=min_df, sublinear_tf=True)
    weights = tfidf.fit_transform(texts)
    svd = TruncatedSVD(width, n_iter=5, random_state=0).fit(weights)

    hashes = hash_terms(tfidf.get_feature_names_out())
    order = np.argsort(hashes)
    if np.any(np.diff(hashes[order]) == 0):
        raise click.ClickException("Two terms share a 64-bit hash; choose another --min-df.")
    save_file(
        {
            "hashes": hashes[order],
            "idf": tfidf.idf_[order].astype(np.float32),
            "components": np.ascontiguousarray(svd.components_.T[order].astype(np.float16)),
        },
        out,
    )
    click.echo(
        f"{len(texts)} texts, {len(hashes)} terms, {width} dimensions, "
        f"{svd.explained_variance_ratio_.sum():.1%} of the variance, "
        f"{out.stat().st_size / 1e6:.1f} MB in {out}"
    )
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    if digest == ASSET_SHA256:
        click.echo(f"It is the file of {EmbeddedEncoder.id!r}; nothing is to be changed.")
    else:
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
