"""A model as it is written: the texts of its name, activation, reduction, encoding and injection, and what they mean.

    reduction   identity | trace | mean-trace | projection:a1,..,aL;b1,..,bL | linear:[[..],..]
    encoding    c1,..,cL, columns separated by ;
    inject      c1,..,cL for phi(z + c) | scores:c1,..,cL for softmax(z z^T + c c^T)

Numbers are exact, and may be formulas in parameters.  Nothing here imports SymPy before a text is read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sie_sym.errors import FormulaError, SieSymError

if TYPE_CHECKING:
    import sympy as sp

    from sie_sym.model import LinearMap, Model

MODELS = ("linear-attention", "softmax-attention", "tied", "untied")
REDUCTIONS = ("identity", "trace", "mean-trace")
ACTIVATIONS = {
    "relu": "relu(u)", "erf": "erf(u)", "square": "u^2", "identity": "u", "tanh": "tanh(u)", "sigmoid": "sigmoid(u)",
}  # fmt: skip
_MAPS = "projection:1,0;0,1 for a^T S b, or linear:[[1,0,0,1]], a row an output, a column an entry of S"


@dataclass(frozen=True)
class ModelText:
    """The texts of a model; `label` stands before their names in errors: --reduction, or the reduction.

    >>> ModelText("softmax-attention", reduction="projection:1,0;1,0").model(2).components
    (sigmoid(z1*(z1 - z2)),)
    """

    name: str
    activation: str | None = None
    reduction: str | None = None
    encoding: str | None = None
    inject: str | None = None
    label: str = "the "

    def model(self, tokens: int, formula: sp.Expr | sp.MatrixBase | None = None) -> Model:
        """phi of that many tokens with its encoding and injection; `formula` is what the name means if it is one.

        An untied network is the tied one of the same activation, of another family.
        Raises `FormulaError` for a text that cannot be read and `SieSymError` for one that belongs to another model.
        """
        self._require_owner("activation", self.activation, "tied", "untied")
        self._require_owner("reduction", self.reduction, "softmax-attention")
        kind, scores, shift = (self.inject or "").partition(":")
        if scores:
            self._require_owner("inject", self.inject, "softmax-attention")
            if kind.strip() != "scores":
                known = "1,0 for phi(z + c), or scores:1,0 for softmax(z z^T + c c^T)"
                raise FormulaError(f"{self.label}inject {(self.inject or '')[:60]!r} is unknown: write {known}")
        model = self._plain(tokens, formula, self._numbers("inject", shift) if scores else [])
        if self.encoding is not None:
            model = model.with_encoding([self._numbers("encoding", column) for column in split(self.encoding, ";")])
        return model if self.inject is None or scores else model.with_injection(self._numbers("inject", self.inject))

    def _plain(self, tokens: int, formula: sp.Expr | sp.MatrixBase | None, scores: list[sp.Expr]) -> Model:
        from sie_sym import model as models
        from sie_sym.parse import parse_formula

        if self.name == "linear-attention":
            return models.linear_attention(tokens)
        if self.name == "softmax-attention":
            return models.softmax_attention(tokens, self._reduction(), scores)
        if self.name in ("tied", "untied"):
            return replace(models.tied_network(tokens, self._sigma()), family=self.name)
        return models.formula_model(parse_formula(self.name) if formula is None else formula, tokens)

    def _require_owner(self, option: str, text: str | None, *owners: str) -> None:
        if text is not None and self.name not in owners:
            raise SieSymError(
                f"{self.label}{option} {text[:60]} does not apply to {self.label}model {self.name[:60]}: "
                f"it belongs to {' or '.join(owners)}"
            )

    def _sigma(self) -> sp.Expr:
        from sie_sym.model import ACTIVATION_VARIABLE
        from sie_sym.paper_targets import nearest
        from sie_sym.parse import parse_formula

        known = ", ".join(ACTIVATIONS)
        if self.activation is None:
            raise SieSymError(f"{self.label}model {self.name} needs {self.label}activation: {known}, or a formula in u")
        text = self.activation.strip()
        sigma = parse_formula(ACTIVATIONS.get(text, text), variables="u")
        if not sigma.has(ACTIVATION_VARIABLE):
            close = nearest(text, ACTIVATIONS)
            raise FormulaError(f"the activation {text[:60]!r} does not read u: did you mean {close}? (or sigma(u))")
        return sigma

    def _reduction(self) -> str | LinearMap:
        text = (self.reduction or "identity").strip()
        kind, colon, entries = text.partition(":")
        if text in REDUCTIONS:
            return text
        if kind == "projection" and colon:
            vectors = [self._numbers("reduction", vector) for vector in split(entries, ";")]
            if len(vectors) != 2:
                raise FormulaError(
                    f"{self.label}reduction {text[:60]!r} has {len(vectors)} vectors: a projection a^T S b needs two, "
                    "separated by ; as in projection:1,0;0,1"
                )
            return vectors[0], vectors[1]
        if kind == "linear" and colon:
            return self._matrix(entries)
        known = ", ".join(REDUCTIONS)
        raise FormulaError(f"{self.label}reduction {text[:60]!r} is unknown: choose {known}, {_MAPS}")

    def _matrix(self, text: str) -> sp.MatrixBase:
        from sie_sym.parse import parse_formula
        from sie_sym.target import tokens_of

        matrix = parse_formula(text)
        if not hasattr(matrix, "rows") or any(tokens_of(entry) for entry in matrix):
            remedy = "write e.g. linear:[[1,0,0,1]]"
            raise FormulaError(f"{self.label}reduction {text[:60]!r} is no matrix of numbers: {remedy}")
        return matrix

    def _numbers(self, option: str, text: str) -> list[sp.Expr]:
        """One entry a token: numbers, or formulas in parameters."""
        from sie_sym.parse import parse_formula
        from sie_sym.target import tokens_of

        entries = []
        for part in split(text, ","):
            if not part.strip():
                raise FormulaError(
                    f"{self.label}{option} {text[:60]!r} has an empty entry: write one number a token, as in 1,-1"
                )
            entry = parse_formula(part)
            if hasattr(entry, "rows") or tokens_of(entry):
                raise FormulaError(
                    f"{self.label}{option} entry {part.strip()[:60]!r} is not a number: write e.g. -1/2, sqrt(2)"
                )
            entries.append(entry)
        return entries


def split(text: str, separator: str) -> list[str]:
    """The parts of a text at a separator outside of parentheses.

    >>> split("max(1,2),3", ",")
    ['max(1,2)', '3']
    """
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([") - (character in ")]")
        if character == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


__all__ = ["ACTIVATIONS", "MODELS", "REDUCTIONS", "ModelText", "split"]
