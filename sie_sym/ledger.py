"""The ledger: every claim of the pages in the installed package `derivations`, with the verdict each page declares."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import traceback
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import BrokenExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from sie_sym.derivation import Claim, Page, Verdict
from sie_sym.errors import SieSymError
from sie_sym.evidence import Evidence
from sie_sym.sweep import local_processes

Progress = Callable[[int, int, str], None]
"""Called with the number of finished pages, that of all, and the name of the last one."""


@dataclass(frozen=True)
class Entry:
    """A claim of a page, and the verdict that the page declares for it (None for a claim that it does not declare).

    `failed` marks the one claim of a page that raised an error instead of making its own.
    """

    page: Page
    claim: Claim
    expected: str | None
    failed: bool = False

    @property
    def as_declared(self) -> bool:
        """Whether the claim came out as the page says."""
        return not self.failed and self.claim.verdict.value == self.expected


def page_names() -> tuple[str, ...]:
    """The pages, in the order of the paper; pages that `derivations.ORDER` does not list come last, by name.

    Raises `SieSymError` if the package `derivations` is not installed.

    >>> "hermite_expansion" in page_names()
    True
    """
    package = _package()
    found = [module.name for module in pkgutil.iter_modules(package.__path__)]
    names = [name for name in found if _is_page(name)]
    order = {name: position for position, name in enumerate(package.ORDER)}
    return tuple(sorted(names, key=lambda name: (order.get(name, len(order)), name)))


def load_page(name: str) -> ModuleType:
    """The module of a page.  Raises `SieSymError` for an unknown name, with the nearest ones, or one that fails."""
    _check(name)
    try:
        return importlib.import_module(f"derivations.{name}")
    except Exception as error:
        raise SieSymError(f"the page {name} does not load: {_told(error)}") from error


def run_page(name: str) -> list[Entry]:
    """Derive one page.  Raises `SieSymError` if it makes fewer claims than it declares."""
    module = load_page(name)
    claims, expected = list(module.derive()), tuple(module.EXPECTED)
    if len(claims) < len(expected):
        raise SieSymError(f"the page {name} declares {len(expected)} verdicts but makes {len(claims)} claims")
    declared = [*expected, *[None] * (len(claims) - len(expected))]
    return [Entry(module.PAGE, claim, verdict) for claim, verdict in zip(claims, declared, strict=True)]


def run_pages(
    names: Iterable[str] | None = None, workers: int = 1, progress: Progress | None = None
) -> list[Entry]:
    """Derive the named pages (default: all) in up to `workers` processes; their claims in the order of the names.

    A page that raises an error has one claim that says so, and the others go on; so has a page whose process dies.
    Processes are started afresh, which needs `if __name__ == "__main__":` in a script.  Raises `SieSymError` for an
    unknown name before any work.
    """
    chosen = page_names() if names is None else tuple(dict.fromkeys(names))
    for name in chosen:
        _check(name)
    found: dict[str, list[Entry]] = {}

    def keep(name: str, entries: list[Entry]) -> None:
        found[name] = entries
        if progress is not None:
            progress(len(found), len(chosen), name)

    if min(workers, len(chosen)) < 2:
        for name in chosen:
            keep(name, _derived(name))
    else:
        for name in _in_processes(chosen, workers, keep):
            # One page may have taken the processes of the others with it: alone it is told apart.
            if _in_processes([name], 1, keep):
                keep(name, [_failure(name, MemoryError("its process died, out of memory perhaps"))])
    return [entry for name in chosen for entry in found[name]]


def _in_processes(names: Sequence[str], workers: int, keep: Callable[[str, list[Entry]], None]) -> list[str]:
    """Derive pages in processes; the names of those that were lost with their process."""
    lost = []
    with local_processes(min(workers, len(names))) as pool:
        futures = {pool.submit(_derived, name): name for name in names}
        for future in as_completed(futures):
            name = futures[future]
            try:
                keep(name, future.result())
            except BrokenExecutor:
                lost.append(name)
    return sorted(lost, key=names.index)


def _derived(name: str) -> list[Entry]:
    """The entries of one page, or the one that says how it failed."""
    try:
        return run_page(name)
    except Exception as error:
        return [_failure(name, error)]


def _failure(name: str, error: Exception) -> Entry:
    try:
        module = load_page(name)
        page, expected = module.PAGE, ", ".join(module.EXPECTED)
    except SieSymError:
        page, expected = Page(name, "no source", "a page that does not load"), None
    route = f"the page failed: {_told(error)}"
    claim = Claim("the page derives its claims", page.source, Verdict.UNDECIDED, Evidence.UNDECIDED, route)
    return Entry(page, claim, expected, failed=True)


def _told(error: Exception) -> str:
    """The error, and where in which file it was raised."""
    where = ""
    if frames := traceback.extract_tb(error.__traceback__):
        where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"
    return f"{type(error).__name__}: {' '.join(str(error).split())}{where}"


def _check(name: str) -> None:
    names = page_names()
    if name not in names:
        close = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
        remedy = f"did you mean {', '.join(close)}? (--list lists all)" if close else "sie-sym derive --list lists all"
        raise SieSymError(f"unknown page {name[:60]!r}: {remedy}")


def _package() -> ModuleType:
    try:
        return importlib.import_module("derivations")
    except ModuleNotFoundError as error:
        raise SieSymError("the pages (the package derivations) are not installed: pip install sie-sym again") from error


def _is_page(name: str) -> bool:
    """Figures and helpers live in the same folder."""
    return not name.startswith(("_", "figure_"))


__all__ = ["Entry", "load_page", "page_names", "run_page", "run_pages"]
