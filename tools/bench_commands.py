#!/usr/bin/env python3
"""Time and peak memory of import, encode, train, evaluate and classify, each as a user runs it.

    bench_commands.py CORPUS

CORPUS is a folder in MAMI's layout. A throw-away data folder is used; prints a Markdown table.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent


def run(data: Path, arguments: list[str]) -> tuple[float, float, str]:
    """Wall seconds, peak MiB of the largest process, and the last line printed."""
    command = [sys.executable, "-m", "memeapp", "--data", str(data), *arguments]
    with tempfile.TemporaryFile("w+") as printed:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=printed, stderr=subprocess.DEVNULL, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        printed.seek(0)
        output = printed.read().strip()
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"{' '.join(arguments)} failed: {output[-500:]}")
    return seconds, usage.ru_maxrss / 1024, output.splitlines()[0][:80]


@click.command()
@click.argument("corpus", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(corpus: Path) -> None:
    """Run the commands on CORPUS from a clean data folder."""
    corpus = corpus.resolve()
    picture = next((corpus / "images").iterdir())
    click.echo(f"{os.cpu_count()} cores\n\n| command | seconds | peak MiB | first line printed |")
    click.echo("| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name, arguments in (
            ("import", ["import", str(corpus)]),
            ("encode", ["encode"]),
            ("train", ["train"]),
            ("train again", ["train"]),
            ("evaluate", ["evaluate"]),
            ("classify, text given", ["classify", str(picture), "--text", "a text"]),
            ("classify, text read", ["classify", str(picture)]),
        ):
            seconds, memory, printed = run(Path(folder), arguments)
            line = printed if printed[0] != "{" else "(JSON)"
            click.echo(f"| {name} | {seconds:.1f} | {memory:.0f} | {line} |")


if __name__ == "__main__":
    main()
