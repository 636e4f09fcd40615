#!/usr/bin/env python3
"""Draw the example memes of the Classify page from scikit-image's sample photographs."""

from __future__ import annotations

from pathlib import Path

import click
from PIL import Image, ImageDraw, ImageFont
from skimage import data

ASSETS = Path(__file__).resolve().parent.parent / "memeapp" / "ui" / "assets"
FONT = ASSETS / "fonts" / "Anton-Regular.woff2"
WIDTH = 600

MEMES = {
    "astronaut": ("She said she needed space", "now she flies a shuttle"),
    "chelsea": ("I repaired your keyboard", "it is a bed now"),
    "coffee": ("My brother makes the coffee", "my sister makes the bridges"),
    "camera": ("He said: one last photo", "that was two hours ago"),
    "hubble_deep_field": ("Turned on all the lights", "still cannot find my keys"),
}
"""Photograph (a function of `skimage.data`, its file lies in the wheel) and two captions."""

README = """\
# Example memes

Drawn by `tools/make_examples.py`; the captions are the project's own, the font is Anton
(SIL Open Font License, see `../fonts/OFL.txt`). Photographs from scikit-image's samples, origin
and terms as scikit-image states them:

| file | photograph | terms |
| --- | --- | --- |
| `astronaut.jpg` | Eileen Collins, NASA Great Images | public domain |
| `chelsea.jpg` | Chelsea the cat, Stefan van der Walt | CC0 |
| `coffee.jpg` | Coffee cup, Rachel Michetti (Pikolo Espresso Bar) | CC0 |
| `camera.jpg` | Man with a camera, Lav Varshney | CC0 |
| `hubble_deep_field.jpg` | Hubble eXtreme Deep Field, NASA (HubbleSite) | public domain |
"""


def draw(photograph: Image.Image, top: str, bottom: str) -> Image.Image:
    """The photograph, 600 pixels wide, with white outlined captions at both edges."""
    height = round(photograph.height * WIDTH / photograph.width)
    image = photograph.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)
    canvas = ImageDraw.Draw(image)
    for caption, edge, anchor in ((top, 12, "ma"), (bottom, height - 16, "md")):
        text = caption.upper()
        size = WIDTH // 10
        while (font := ImageFont.truetype(FONT, size)).getlength(text) > WIDTH * 0.94:
            size -= 1
        canvas.text(
            (WIDTH / 2, edge),
            text,
            font=font,
            anchor=anchor,
            fill="white",
            stroke_fill="black",
            stroke_width=size // 14,
        )
    return image


@click.command()
@click.argument(
    "out", type=click.Path(file_okay=False, path_type=Path), default=ASSETS / "examples"
)
def main(out: Path) -> None:
    """Write the example memes and their README into the folder OUT."""
    out.mkdir(parents=True, exist_ok=True)
    for name, captions in MEMES.items():
        photograph = Image.fromarray(getattr(data, name)())
        path = out / f"{name}.jpg"
        draw(photograph, *captions).save(path, quality=68, optimize=True)
        click.echo(f"{path} {path.stat().st_size / 1024:.0f} KB")
    (out / "README.md").write_text(README, encoding="utf-8")


if __name__ == "__main__":
    main()
