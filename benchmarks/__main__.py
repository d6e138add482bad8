"""`python -m benchmarks`: every comparison of this folder, as a page in Markdown."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path

# Everybody computes on one thread (SGD says on how many): threads that wait for a busy core measure the neighbours.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from benchmarks.comparison import Section  # noqa: E402
from benchmarks.memory import peaks  # noqa: E402
from benchmarks.page import page  # noqa: E402

NAMES = ("transform", "moments", "loss_grid", "phases", "flow", "sgd", "commands", "memory")


def main() -> None:
    """Run what is asked for, print the page or write it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, one repetition: does everything still run?")
    parser.add_argument("--only", choices=NAMES, action="append", metavar="NAME", help=f"some of {', '.join(NAMES)}")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the page here, as docs/benchmarks.md")
    given = parser.parse_args()
    names = given.only or [name for name in NAMES if name != "memory" or not given.quick]
    load: list[float] = []
    sections: dict[str, Section] = {}
    chosen = {name: import_module(f"benchmarks.{name}") for name in NAMES if name in names and name != "memory"}
    for name, module in chosen.items():
        print(f"{name} ...", file=sys.stderr, flush=True)
        sections[name] = module.section(given.quick)
        if hasattr(os, "getloadavg"):
            load.append(os.getloadavg()[0])
    text = page(sections, peaks() if "memory" in names else [], load)
    if given.output:
        given.output.write_text(text, encoding="utf-8")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
