"""A picture input that trusts nothing. Alone here: gradio writes a `.pyi` beside a component."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import ImageData

from memeapp.errors import BadPicture
from memeapp.images import Picture, decode

EXAMPLES = Path(__file__).parent / "assets" / "examples"


class SafeImage(gr.Image):
    """An image input whose value is a `Picture`, or the `BadPicture` that says why there is none.

    Gradio's own way decodes whatever comes; here the bytes go through `memeapp.images`.
    """

    is_template = True  # the browser shows it as a plain image component

    def __init__(self, *, max_bytes: int, **kwargs: Any) -> None:
        self.max_bytes = max_bytes
        super().__init__(type="filepath", **kwargs)

    def get_config(self, cls: type[Any] | None = None) -> dict[str, Any]:
        """The browser needs the settings of `gr.Image`, which gradio reads off a signature."""
        return super().get_config(cls or gr.Image)

    def preprocess(  # type: ignore[override]
        self, payload: ImageData | None
    ) -> Picture | BadPicture | None:
        if payload is None or payload.path is None:
            return None
        file = Path(payload.path).resolve()
        # Gradio checks the path only where the payload says that it is a file.
        places = (Path(self.GRADIO_CACHE).resolve(), EXAMPLES.resolve())
        if not (any(file.is_relative_to(place) for place in places) and file.is_file()):
            return BadPicture("The uploaded picture is gone from the server; choose it again.")
        if file.stat().st_size > self.max_bytes:
            return BadPicture("The picture is larger than the server takes; save it smaller.")
        try:
            return decode(
                file.read_bytes(),
                name=payload.orig_name or "The picture",
                max_bytes=self.max_bytes,
            )
        except BadPicture as error:
            return error
        except OSError:
            return BadPicture("The uploaded picture is gone from the server; choose it again.")

    async def async_move_resource_to_block_cache(
        self, url_or_file_path: str | Path | None
    ) -> str | None:
        """Refuse addresses: the server fetches nothing on a visitor's behalf."""
        if "://" in str(url_or_file_path):
            raise gr.Error("Upload the picture itself, not its address.", print_exception=False)
        return await super().async_move_resource_to_block_cache(url_or_file_path)
