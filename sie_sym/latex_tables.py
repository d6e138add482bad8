r"""Tables of Hermite coefficients in LaTeX, read back: what `latex` writes for them, as numbers again."""

from __future__ import annotations

import re

import sympy as sp

from sie_sym.errors import FormulaError
from sie_sym.parse_latex import parse_latex

_ROW = re.compile(
    r"C_\{(?P<index>(?:[^{}]|\{[0-9]+\})*)\}\s*&?=\s*(?P<value>.*?)(?=\s*\\\\\s*\n|\s*\\\\\s*C_|\\end\{aligned\}|\Z)",
    re.DOTALL,
)
_UNIT = re.compile(r"(?:(?P<times>[0-9]+) )?e_\{(?P<token>[0-9]+)\}")


def parse_latex_coefficients(text: str) -> dict[tuple[tuple[int, int], ...], tuple[sp.Expr, ...]]:
    r"""The rows `C_{(4,0)} &= 24` of a table, by sparse multi-index ((token, order), ...), a value a component.

    Everything else in the text is passed over.  Raises `FormulaError` for a text without rows, a multi-index that
    cannot be read and values that `parse_latex` refuses (an expectation has no formula to read).

    >>> parse_latex_coefficients(r"\begin{aligned}C_{(4,0)} &= 24 \\ C_{(1,2)} &= \frac{1}{2}\end{aligned}")
    {((1, 4),): (24,), ((1, 1), (2, 2)): (1/2,)}
    """
    found = {}
    for row in _ROW.finditer(text):
        value = parse_latex(row["value"])
        found[_multi_index(row["index"], row.start())] = tuple(value) if isinstance(value, sp.MatrixBase) else (value,)
    if not found:
        raise FormulaError(f"no coefficient in {text.strip()[:40]!r}: write rows such as C_{{(4,0)}} &= 24", 0)
    return found


def _multi_index(text: str, position: int) -> tuple[tuple[int, int], ...]:
    """(4,0), or where there are many tokens 4 e_{1} + e_{12}; 0 is none."""
    plain = text.strip()
    if re.fullmatch(r"\([0-9]+(?:,\s*[0-9]+)*\)", plain):
        orders = map(int, plain[1:-1].split(","))
        return tuple((token, order) for token, order in enumerate(orders, start=1) if order)
    units = [_UNIT.fullmatch(unit) for unit in plain.split(" + ")] if plain != "0" else []
    if None in units:
        what = f"column {position + 1}: {plain[:30]!r} is not a multi-index"
        raise FormulaError(f"{what}: write (4,0), or 4 e_{{1}} + e_{{12}}", position)
    return tuple((int(unit["token"]), int(unit["times"] or 1)) for unit in units if unit)


__all__ = ["parse_latex_coefficients"]
