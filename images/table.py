"""Measure the images that were built, and print a table in Markdown.

    python -m images.table

The size is that of all layers, which images share: with the one of each image that no other holds. Start times are the
best of several: of `docker run` from call to return, and of the process within, both of `lstm-aa STAGE --help`.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from images.build import built
from images.engine import HARDENED, NO_NETWORK, Engine, Failure, engine
from images.sbom import FOLDER, Found, write

#: Longest start of the process that is good enough, in seconds: of the stages that work on tables, and of the others.
TARGETS = {"extract": 1.0, "preprocess": 1.0}
OTHER_TARGET = 3.0
_TIMED = """
import subprocess, sys, time
started = time.monotonic()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print("SECONDS", time.monotonic() - started)
"""
_HEAD = (
    "image", "size", "its own", "layers", "user", "Python packages", "Debian packages", "known vulnerabilities",
    "`docker run`", "the process",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """The figures of an image: sizes in bytes, times in seconds."""

    name: str
    size: int
    own: int
    layers: int
    user: str
    found: Found
    run_s: float
    process_s: float

    @property
    def in_time(self) -> bool:
        """Whether the process starts within its target."""
        return self.process_s < TARGETS.get(self.name, OTHER_TARGET)

    def cells(self) -> list[str]:
        """Return the figures as they are shown."""
        known = "not known" if self.found.vulnerable is None else str(sum(map(len, self.found.vulnerable.values())))
        sizes = [f"{size / 1e6:,.0f} MB" for size in (self.size, self.own)]
        counts = [str(self.layers), self.user, str(self.found.python), str(self.found.debian)]
        return [f"`{self.name}`", *sizes, *counts, known, f"{self.run_s:.2f} s", f"{self.process_s:.2f} s"]


def measure(name: str, image: str, at: Engine, *, rounds: int = 3, audit: bool = True) -> Row:
    """Return the figures of one image, ``name`` being its `key`.

    Raises:
        Failure: it is not there, or does not start.
    """
    known = at.inspect(image)
    if known is None:
        raise Failure(f"no image {image}; run make images")
    found = write(name, image, at, FOLDER, audit=audit)
    command = ["lstm-aa", name.partition("/")[0], "--help"]
    hardened = ["run", "--rm", *HARDENED, *NO_NETWORK, image]
    whole, inside = [], []
    for _ in range(rounds):
        started = time.monotonic()
        at.must(*hardened, *command)
        whole.append(time.monotonic() - started)
        said = at.must(*hardened, "python", "-c", _TIMED, *command)
        inside.append(float(said.rpartition("SECONDS")[2]))
    own = round(sum(map(_bytes, _own_layers(image, at))))
    layers = len(known["RootFS"]["Layers"])
    return Row(name, known["Size"], own, layers, known["Config"]["User"], found, min(whole), min(inside))


def _own_layers(image: str, at: Engine) -> list[str]:
    """Return the sizes, as the engine shows them, of the layers above those that stages share."""
    history = at.must("history", "--no-trunc", "--format", "{{.Size}}\t{{.CreatedBy}}", image).splitlines()
    sizes: list[str] = []
    for size, _, command in (line.partition("\t") for line in history):  # the newest comes first
        sizes.append(size)
        if "requirements/${STAGE}.txt" in command:
            return sizes
    raise Failure(f"{image} was not built by images/Dockerfile")


def _bytes(shown: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)\s*([kMGT]?B)", shown).groups()  # type: ignore[union-attr]
    return float(number) * {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}[unit]


def table(rows: Sequence[Row]) -> str:
    """Return the figures as a table in Markdown."""
    lines = [_HEAD, ["---"] * len(_HEAD), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table; exit with 1 where an image starts too slowly."""
    parser = argparse.ArgumentParser("images.table", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often a start is timed; default: %(default)s")
    parser.add_argument("--no-audit", action="store_true", help="ask nobody about vulnerabilities")
    given = parser.parse_args(arguments)
    at = engine()
    try:
        at.insist()
        rows = [
            measure(name, image, at, rounds=given.rounds, audit=not given.no_audit) for name, image in built(at).items()
        ]
    except Failure as failure:
        print(f"images: error: {failure}", file=sys.stderr)
        sys.exit(2)
    print(table(rows))
    late = [row.name for row in rows if not row.in_time]
    if late:
        print(f"images: too slow to start: {', '.join(late)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
