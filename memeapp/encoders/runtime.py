"""The only place that opens ONNX models: on the CPU, with few threads that sleep when idle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from memeapp.cores import cores
from memeapp.errors import Unavailable


def open_session(model: Path | bytes, threads: int) -> Any:
    """A thread-safe `onnxruntime.InferenceSession` of a model file or its content.

    It uses at most `threads` threads, and no more than `cores`.

    Raises:
        Unavailable: if onnxruntime is missing or the model cannot be read.
    """
    try:
        import onnxruntime  # noqa: PLC0415
    except ImportError as error:
        raise Unavailable(
            f"The embedded encoder needs onnxruntime ({error}); install it with "
            "`pip install -r requirements.txt`."
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(threads, cores())
    options.inter_op_num_threads = 1
    # Idle threads sleep instead of spinning: the web server needs the cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Memory goes back after each run; an arena would keep the most that ever ran at once.
    options.enable_cpu_mem_arena = False
    source = model if isinstance(model, bytes) else str(model)
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has its own exception for each kind of damage.
        name = "its content" if isinstance(model, bytes) else model
        raise Unavailable(f"onnxruntime cannot open a model from {name} ({error}).") from error
