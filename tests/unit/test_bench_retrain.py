"""What the benchmark of retrainings makes of its measurements."""

import numpy as np

from memeapp.bench.people import Seen
from memeapp.bench.retrain import Run, Waits, sort_out, to_markdown
from memeapp.types import ModelVersion


def test_a_request_belongs_to_the_retraining_during_which_it_was_sent() -> None:
    seen = Seen(began=[1.0, 5.0, 10.0, 19.9, 20.0, 31.0], seconds=[9.0, 0.1, 0.2, 0.3, 0.4, 0.5])
    waits = sort_out(seen, 2.0, [(10.0, 20.0), (30.0, 40.0)])
    assert waits.quiet.tolist() == [0.1, 0.4]
    assert waits.busy.tolist() == [0.2, 0.3, 0.5]


def test_the_page_gives_waits_as_ratios_within_the_run() -> None:
    version = ModelVersion(
        name="v0001",
        created_at="2026-01-01T00:00:00.000",
        encoder="embedded-2",
        labels=("misogynous",),
        parent=None,
        recipe="best",
        data={"seconds": 12.34, "peak_memory_mb": 1500},
    )
    waits = Waits(np.full(10, 0.010), np.full(10, 0.015))
    page = to_markdown("20 memes", 50, 2.0, [Run(20.0, version)], [Run(30.0, version)], waits)
    assert "| alone, 1 | 20.0 | 12.3 | 1,500 |" in page
    assert "| among people, 1 | 30.0 | 12.3 | 1,500 |" in page
    assert "| 95 % | 10 ms | 15 ms | 1.50 |" in page
