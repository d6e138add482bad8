"""The ledger: every claim of the pages in the installed package `derivations`, with the verdict each page declares."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType

from sie_sym.derivation import Claim, Page
from sie_sym.errors import SieSymError


@dataclass(frozen=True)
class Entry:
    """A claim of a page, and the verdict that the page declares for it (None for a claim that it does not declare)."""

    page: Page
    claim: Claim
    expected: str | None

    @property
    def as_declared(self) -> bool:
        """Whether the claim came out as the page says."""
        return self.claim.verdict.value == self.expected


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
    """The module of a page.  Raises `SieSymError` for an unknown name, with the nearest ones."""
    names = page_names()
    if name not in names:
        close = difflib.get_close_matches(name, names, n=3, cutoff=0.4) or names
        raise SieSymError(f"unknown page {name[:60]!r}: did you mean {', '.join(close)}?")
    return importlib.import_module(f"derivations.{name}")


def run_page(name: str) -> list[Entry]:
    """Derive one page.  Raises `SieSymError` if it makes fewer claims than it declares."""
    module = load_page(name)
    claims, expected = list(module.derive()), tuple(module.EXPECTED)
    if len(claims) < len(expected):
        raise SieSymError(f"the page {name} declares {len(expected)} verdicts but makes {len(claims)} claims")
    declared = [*expected, *[None] * (len(claims) - len(expected))]
    return [Entry(module.PAGE, claim, verdict) for claim, verdict in zip(claims, declared, strict=True)]


def run_pages(names: Iterable[str] | None = None) -> list[Entry]:
    """Derive the named pages (default: all) and collect their claims."""
    chosen = page_names() if names is None else tuple(names)
    for name in chosen:
        load_page(name)  # a mistyped name is told before minutes of work
    return [entry for name in chosen for entry in run_page(name)]


def _package() -> ModuleType:
    try:
        return importlib.import_module("derivations")
    except ModuleNotFoundError as error:
        raise SieSymError("the pages (the package derivations) are not installed: pip install sie-sym again") from error


def _is_page(name: str) -> bool:
    """Figures and helpers live in the same folder."""
    return not name.startswith(("_", "figure_"))


__all__ = ["Entry", "load_page", "page_names", "run_page", "run_pages"]
