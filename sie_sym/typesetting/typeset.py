r"""What the LaTeX of a result is made of: `typeset(result)` gives its formulas, conventions and remarks.

`latex` registers the results of the closed forms, `typeset_numbers` those known by numbers.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from functools import singledispatch

import sympy as sp

from sie_sym.errors import SieSymError
from sie_sym.typesetting.latex_printer import as_text

HERMITE = "He_k: probabilists' Hermite polynomials, He_2(x) = x^2 - 1, not normalised: E He_k^2 = k!."
SETTING = "z*_l = <x_l, w*> and z_l = <x_l, w> + e_l: unit variances, covariance m, means 0 and e = C eps."
LOSS = "R = E |g(z*) - phi(z)|^2: squared error without a factor 1/2 (arXiv:2506.02651, eq. 9)."
TIME = "t = gamma * step / d, w <- w - gamma * gradient, then |w|^2 = d (arXiv:2506.02651, eq. 11 and 28)."
TENSOR = "C_alpha = E[g(Z) He_alpha(Z)], g = sum_alpha C_alpha He_alpha / alpha! (arXiv:2506.02651, Thm 3)."
NODES = {
    "GaussianExpectation": "E[...]: expectation over independent standard normals Z_l; it has no elementary form.",
    "SignProduct": "S(h, k; rho) = E sign(A) sign(B), A and B Gaussian, means h and k, unit variances, covariance rho.",
    "relu": "relu(x) = max(x, 0).",
    "Phi": "Phi: the standard normal distribution function.",
    "gelu": "gelu(x) = x Phi(x).",
    "sigmoid": "sigmoid(x) = 1 / (1 + exp(-x)).",
    "softplus": "softplus(x) = log(1 + exp(x)).",
    "softmax": "softmax_k(x) = exp(x_k) / sum_j exp(x_j).",
}

_LONGEST_LINE = 4000


@dataclass(frozen=True)
class Typeset:
    """A result in LaTeX: its formulas (without delimiters), its conventions and remarks in plain ASCII."""

    title: str
    conventions: tuple[str, ...]
    formulas: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    def source(self) -> str:
        """Comment lines, displayed formulas and, where there is an argument, its enumerated steps."""
        return "\n".join([*(f"% {line}" for line in (self.title, *self.conventions)), *self._body()])

    def section(self) -> str:
        """The same as a section of a document, the conventions readable."""
        notes = [r"\begin{itemize}", *(rf"\item {as_text(line)}" for line in self.conventions), r"\end{itemize}"]
        return "\n".join([rf"\section*{{{as_text(self.title)}}}", *(notes if self.conventions else []), *self._body()])

    def _body(self) -> list[str]:
        lines = [line for formula in self.formulas for line in (r"\[", _in_lines(formula), r"\]")]
        if self.remarks:
            steps = [rf"\item {as_text(remark)}" for remark in self.remarks]
            lines += [r"\begin{enumerate}", *steps, r"\end{enumerate}"]
        return lines


def _in_lines(formula: str) -> str:
    """A line end is a blank to TeX, which refuses lines above 200 000 characters."""
    lines = formula.splitlines()
    return formula if max(map(len, lines), default=0) <= _LONGEST_LINE else "\n".join(map(_wrapped, lines))


def _wrapped(line: str) -> str:
    return textwrap.fill(line, _LONGEST_LINE, break_long_words=False, break_on_hyphens=False)


@singledispatch
def typeset(result: object) -> Typeset:
    """The parts of a result's LaTeX; further results register theirs."""
    raise SieSymError(f"no LaTeX is defined for {type(result).__name__}: pass a result of this package")


def document(sections: Iterable[str], title: str) -> str:
    """A whole document around some sections, ready for pdflatex."""
    return "\n".join(
        [
            r"\documentclass{article}",
            r"\usepackage[a4paper, margin=2cm]{geometry}",
            r"\usepackage{amsmath, amssymb}",
            r"\allowdisplaybreaks",
            rf"\title{{{as_text(title)}}}\date{{}}",
            r"\begin{document}",
            r"\maketitle",
            *sections,
            r"\end{document}",
            "",
        ]
    )


def node_conventions(expressions: Iterable[sp.Basic]) -> tuple[str, ...]:
    """What the functions that occur in some expressions mean."""
    present = {type(node).__name__ for e in expressions for node in sp.preorder_traversal(e)}
    return tuple(text for name, text in NODES.items() if name in present) + ((HERMITE,) if "He" in present else ())


__all__ = [
    "HERMITE", "LOSS", "NODES", "SETTING", "TENSOR", "TIME", "Typeset", "document", "node_conventions", "typeset",
]  # fmt: skip
