"""The errors a user can meet: each message names the object, the value and the remedy."""

from __future__ import annotations


class SieSymError(ValueError):
    """Base of every error that bad input or an unanswerable question raises (exit code 2)."""


class FormulaError(SieSymError):
    """A formula text cannot be read; `position` is the 0-based offset of the offence, if known."""

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class DomainError(SieSymError):
    """A function is not defined, or not square-integrable, under the Gaussian measure."""


class NoClosedForm(SieSymError):
    """No rule of the toolkit gives a closed form; the message names the factor that resists."""


class TruncationError(SieSymError):
    """More was asked than is known: says up to which order the object is exact and how to get more."""


class MissingExtra(SieSymError):
    """An optional dependency is needed; the message gives the pip command."""

    def __init__(self, extra: str, package: str) -> None:
        super().__init__(f"{package} is not installed: pip install 'sie-sym[{extra}]'")
