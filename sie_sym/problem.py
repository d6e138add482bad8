"""A target and a model as texts, and what is derived and compiled from them, each thing once.

The texts are those of the command line: a formula or @NAME, and those of `model_text`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp

from sie_sym.errors import FormulaError, SieSymError
from sie_sym.gradient_noise import GradientNoise
from sie_sym.losses.numerical_loss import loss_function, tabulated_loss
from sie_sym.model import Model
from sie_sym.model_text import ACTIVATIONS, ModelText
from sie_sym.numeric import LossFunction
from sie_sym.numerical_noise import NumericalNoise, noise_function, tabulated_noise
from sie_sym.paper_targets import named_target
from sie_sym.parse import parse_formula, parse_number
from sie_sym.population_loss import DEFAULT_ORDER, PopulationLoss, population_loss
from sie_sym.simulation.fields import Fields, fields_of
from sie_sym.target import Target


@dataclass(frozen=True)
class Formulas:
    """The texts of a target and of a model; `parameters` gives exact values, as texts or numbers, to their parameters.

    >>> Formulas("a*z1", parameters={"a": 0.1}).parameters
    (('a', '0.1'),)
    """

    target: str
    tokens: int | None = None
    model: str | None = None
    activation: str | None = None
    reduction: str | None = None
    encoding: str | None = None
    inject: str | None = None
    parameters: Mapping[str, Any] | tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for name in ("target", "model", "activation", "reduction", "encoding", "inject"):
            value = getattr(self, name)
            if not isinstance(value, str) and (value is not None or name == "target"):
                raise FormulaError(f"the {name} is {value!r}: give a text")
            object.__setattr__(self, name, value if value is None else value.strip())
        tokens = self.tokens.item() if isinstance(self.tokens, np.generic) else self.tokens
        if tokens is not None and (not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 1):
            raise FormulaError(f"tokens is {tokens!r}: give a number of tokens, 1 or more")
        object.__setattr__(self, "tokens", tokens)
        values = sorted((name, _number_text(name, value)) for name, value in dict(self.parameters).items())
        object.__setattr__(self, "parameters", tuple(values))

    @property
    def values(self) -> dict[str, str]:
        """The values of the parameters, as texts."""
        return dict(self.parameters)

    @property
    def data(self) -> dict[str, Any]:
        """The texts by name, as JSON, what was left out left out."""
        found = {field.name: getattr(self, field.name) for field in fields(self)} | {"parameters": self.values}
        return {name: value for name, value in found.items() if value is not None and value != {}}


def _number_text(name: str, value: Any) -> str:
    """A number as the shortest text that means it, so that 1, 1.0 and numpy's 1.0 are one value."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise FormulaError(f"the parameter {name} is {value!r}: give a number, or the text of one such as 'sqrt(2)'")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


class Problem:
    """A target and a model made of their texts, and their loss, noise and functions, made when first asked for.

    This is what a task of a sweep is about.  A command's `commands.options.Question` is read from options,
    which its messages name, and also from LaTeX; what a model's texts mean `model_text` says to both.
    """

    def __init__(self, formulas: Formulas) -> None:
        self.formulas = formulas
        self._losses: dict[int, PopulationLoss] = {}
        self._noises: dict[int, GradientNoise | NumericalNoise] = {}

    # ---- symbols ----------------------------------------------------------------------------------

    @cached_property
    def target(self) -> Target:
        """g, its parameters replaced by the values given."""
        target = self._unset[0]
        return replace(target, components=self._substituted(target.components, "the target"))

    @cached_property
    def model(self) -> Model:
        """phi with its encoding and injection, its parameters replaced by the values given."""
        model = self._unset[1]
        if model is None:
            raise SieSymError("there is no model: give one")
        return model.rewritten(self._substituted)

    @cached_property
    def _unset(self) -> tuple[Target, Model | None]:
        """Target and model with their parameters, none of which may be misspelt in the values."""
        text, tokens = self.formulas.target, self.formulas.tokens
        target = named_target(text, tokens) if text.startswith("@") else Target.of(parse_formula(text), tokens)
        model = None if self.formulas.model is None else self._read_model(target.tokens)
        known = {str(p) for p in (*target.parameters, *(model.parameters if model else ()))}
        for name in self.formulas.values:
            if name not in known:
                which = f"the parameters are {', '.join(sorted(known))}" if known else "there is no parameter"
                raise FormulaError(f"the parameter {name[:60]} does not occur in the formulas: {which}")
        return target, model

    def _read_model(self, tokens: int) -> Model:
        texts = self.formulas
        return ModelText(
            texts.model or "", texts.activation, texts.reduction, texts.encoding, texts.inject
        ).model(tokens)

    def _substituted(self, entries: Sequence[sp.Expr], what: str) -> tuple[sp.Expr, ...]:
        replaced = tuple(entry.subs(self._values) for entry in entries)
        if any(entry.has(sp.zoo, sp.nan, sp.oo, -sp.oo, sp.I) for entry in replaced):
            given = ", ".join(f"{name} = {value}" for name, value in self.formulas.values.items())
            raise FormulaError(f"{what} is not a real number at {given}: choose other values")
        return replaced

    @cached_property
    def _values(self) -> dict[sp.Symbol, sp.Expr]:
        values = self.formulas.values
        return {sp.Symbol(name, real=True): parse_number(value) for name, value in values.items()}

    # ---- what is derived and compiled -------------------------------------------------------------

    def loss(self, order: int | None = None) -> PopulationLoss:
        """The population loss in closed form, cut at `order` where it is infinite."""
        order = DEFAULT_ORDER if order is None else order
        self._require_tied("the population loss")
        if order not in self._losses:
            self._losses[order] = population_loss(self.target, self.model, order)
        return self._losses[order]

    def noise(self, order: int | None = None) -> GradientNoise | NumericalNoise:
        """The gradient noise V of a finite learning rate: its closed form, a table where it has none."""
        order = DEFAULT_ORDER if order is None else order
        if order not in self._noises:
            self._noises[order] = noise_function(self.loss(order), order)
        return self._noises[order]

    def loss_function(self, order: int | None = None) -> LossFunction:
        """The population loss as numbers, of its closed form where it has one."""
        return loss_function(self.loss(order))

    @cached_property
    def tabulated_loss(self) -> LossFunction:
        """The population loss as numbers, of the functions g and phi alone."""
        self._require_tied("the population loss")
        return tabulated_loss(self.target, self.model)

    @cached_property
    def tabulated_noise(self) -> NumericalNoise:
        """The gradient noise as numbers, of the functions g and phi alone."""
        self._require_tied("the gradient noise")
        return tabulated_noise(self.target, self.model)

    @cached_property
    def fields(self) -> Fields:
        """What SGD reads, as float64 functions."""
        return fields_of(self.target, self.model)

    def _require_tied(self, what: str) -> None:
        if self.model.family == "untied":
            raise SieSymError(f"{what} of an untied network has an overlap a token: sgd tasks run it, or choose tied")

    def start(self, text: str) -> tuple[float, ...]:
        """A start m=.01,eps=.3 in the order of the statistics; m alone, or m1, m2, ... in an untied network.

        Raises `FormulaError` for a statistic that is unknown, left out or given twice.
        """
        names = [str(s) for s in self.model.statistics]
        values: dict[str, float] = {}
        for part in text.split(","):
            name, _, number = (piece.strip() for piece in part.partition("="))
            if not name or not number or name in values:
                raise FormulaError(f"the start {text[:60]!r} is not NAME=VALUE once for each of {', '.join(names)}")
            values[name] = float(parse_number(number))
        if self.model.family == "untied" and list(values) != names:
            names = [f"m{l}" for l in range(1, self.model.tokens + 1)]
        if set(values) != set(names):
            given = ", ".join(values)
            raise FormulaError(f"the start {text[:60]!r} gives {given}: the statistics are {', '.join(names)}")
        return tuple(values[name] for name in names)


__all__ = ["ACTIVATIONS", "Formulas", "Problem"]
