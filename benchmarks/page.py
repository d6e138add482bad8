"""The page of the benchmarks in Markdown: tables of ratios, targets met and missed, growth, memory."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

from benchmarks.comparison import Growth, Row, Section
from benchmarks.memory import LIMIT, Peak

PACKAGES = ("numpy", "scipy", "sympy", "python-flint", "numba", "torch", "heyoka", "chaospy", "thewalrus")
_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


def rounded(value: float, digits: int = 2) -> str:
    """A number with some significant digits, no exponent.

    >>> rounded(12345.0), rounded(0.345), rounded(9.96)
    ('12,000', '0.34', '10')
    """
    places = digits - 1 - math.floor(math.log10(abs(value))) if value else 0
    short = round(value, places)
    places = digits - 1 - math.floor(math.log10(abs(short))) if short else 0
    return f"{short:,.{max(0, places)}f}"


def duration(seconds: float) -> str:
    """Seconds in the largest unit that leaves at least one.

    >>> duration(3.2e-5), duration(7200.0)
    ('32 µs', '2.0 h')
    """
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= size), _UNITS[-1])
    return f"{rounded(seconds / size)} {unit}"


def escaped(text: str) -> str:
    """Text of a cell; formulas in backticks keep their stars."""
    marks = "|" if text.startswith("`") else "|*_<["
    return "".join("\\" + letter if letter in marks else letter for letter in text)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table; the first column is text."""
    ruler = [":--", *["--:"] * (len(heads) - 1)]
    return [f"| {' | '.join(map(str, cells))} |" for cells in (heads, ruler, *rows)] + [""]


def goal(row: Row) -> str:
    """A row's target in words."""
    if row.target is None:
        return ""
    verdict = {True: "met", False: "**missed**", None: "not measured"}[row.met]
    wanted = f"{rounded(row.target, 1)} x" if row.target >= 1 else f"at most {rounded(1 / row.target, 1)} x slower"
    return f"{wanted}: {verdict}"


def comparison(row: Row) -> list[str]:
    """The cells of a row."""
    theirs = row.note if row.theirs is None else f"{'> ' * row.killed}{duration(row.theirs)}"
    if row.theirs is not None and row.note:
        theirs += f" ({row.note})"
    ratio = "" if row.ratio is None else f"{'> ' * row.killed}{rounded(row.ratio)}"
    errors = ["" if e is None else "0" if e == 0 else f"{e:.0e}" for e in (row.our_error, row.their_error)]
    return [escaped(row.task), duration(row.ours), escaped(row.peer), theirs, ratio, *errors, goal(row)]


def growth(found: Growth) -> list[str]:
    """The cells of a growth."""
    steps = zip(found.sizes, found.seconds, strict=True)
    times = ", ".join(f"{size:,.0f}: {duration(seconds)}" for size, seconds in steps)
    return [escaped(found.task), found.size, times, f"{found.slope:.2f}"]


def machine() -> str:
    """The kind of machine, and the versions of what was measured."""
    installed = []
    for name in PACKAGES:
        try:
            installed.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            installed.append(f"no {name}")
    kind = f"{os.cpu_count()} cores, {platform.system()} on {platform.machine()}, Python {platform.python_version()}"
    return f"{kind}; {', '.join(installed)}."


def page(sections: Mapping[str, Section], peaks: Sequence[Peak], load: Sequence[float]) -> str:
    """The whole page; `load` are the load averages seen during the run."""
    lines = [
        "# Benchmarks", "",
        "Ours and our peers', in one run of `python -m benchmarks`: both sides take turns, each time is the best of "
        "several, and what counts is the ratio, how many times faster than the peer we are (below 1: slower). `>` "
        "marks a peer that was stopped at its limit. Linear algebra runs on one thread. Errors are the largest "
        "deviations from a converged value.", "",
        f"Measured on {machine()}"
        + (f" Load average during the run: {min(load):.1f} to {max(load):.1f}." if load else ""), "",
    ]  # fmt: skip
    judged = [row for section in sections.values() for row in section.rows if row.target is not None]
    if judged:
        missed = [row for row in judged if row.met is False]
        lines += [f"Targets: {sum(row.met is True for row in judged)} of {len(judged)} met.", ""]
        lines += [
            f"- Missed: {escaped(row.task)} against {escaped(row.peer)}, {rounded(row.ratio or 0)} x "
            f"where {rounded(row.target or 0, 1)} x was the target."
            for row in missed
        ]
        lines += [""] * bool(missed)
    heads = ["task", "ours", "peer", "its time", "ratio", "our error", "its error", "target"]
    for section in sections.values():
        lines += [f"## {section.title}", "", section.text, "", *table(heads, map(comparison, section.rows))]
        for remark in section.remarks:
            lines += [remark, ""]
    growths = [found for section in sections.values() for found in section.growths]
    if growths:
        lines += ["## How our cost grows", "", "Least-squares exponents p of seconds ~ size^p; 0 is no growth.", ""]
        lines += table(["task", "size", "seconds", "p"], map(growth, growths))
    if peaks:
        lines += ["## Memory", ""]
        lines += [f"Peak resident memory of a process for each task; the limit is {LIMIT / 2**20:,.0f} MiB.", ""]
        lines += table(["task", "MiB"], ([escaped(peak.task), f"{peak.bytes / 2**20:,.0f}"] for peak in peaks))
    return "\n".join(lines).rstrip() + "\n"
