"""The only place that knows nudenet: which body parts and faces a picture shows, and how sure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from memeapp.encoders.runtime import open_session
from memeapp.errors import Unavailable

PARTS = (
    "ANUS_COVERED",
    "ANUS_EXPOSED",
    "ARMPITS_COVERED",
    "ARMPITS_EXPOSED",
    "BELLY_COVERED",
    "BELLY_EXPOSED",
    "BUTTOCKS_COVERED",
    "BUTTOCKS_EXPOSED",
    "FACE_FEMALE",
    "FACE_MALE",
    "FEET_COVERED",
    "FEET_EXPOSED",
    "FEMALE_BREAST_COVERED",
    "FEMALE_BREAST_EXPOSED",
    "FEMALE_GENITALIA_COVERED",
    "FEMALE_GENITALIA_EXPOSED",
    "MALE_BREAST_EXPOSED",
    "MALE_GENITALIA_EXPOSED",
)
"""The classes of the detector, in the order of the embedded encoder's blocks."""


@dataclass(frozen=True, slots=True)
class Detection:
    """One body part or face: its class, the detector's score and its share of the picture."""

    part: str
    score: float
    area: float


class BodyDetector:
    """nudenet's 320-pixel detector on the CPU. Thread-safe: one session, no state."""

    def __init__(self) -> None:
        """Load the model that lies in nudenet's wheel.

        Raises:
            Unavailable: if nudenet or onnxruntime cannot be imported.
        """
        try:
            import nudenet  # noqa: PLC0415
        except ImportError as error:
            raise Unavailable(
                f"The embedded encoder needs nudenet ({error}); install it with "
                "`pip install -r requirements.txt`."
            ) from error
        self._detector = nudenet.NudeDetector()
        # nudenet takes no session options; its own session would use every core.
        self._detector.onnx_session = open_session(
            Path(nudenet.__file__).with_name("320n.onnx"), threads=4
        )

    def detect(self, image: Image.Image) -> list[Detection]:
        """Every detection with a score of at least 0.2, areas in [0, 1]. `image` is RGB."""
        pixels = image.width * image.height
        return [
            Detection(found["class"], found["score"], found["box"][2] * found["box"][3] / pixels)
            # Red first: nudenet swaps the channels twice, and finds more that way.
            for found in self._detector.detect(np.asarray(image))
        ]
