"""What the commands are asked: the options they share, and how their texts become a target, a model and numbers.

Nothing here imports SymPy before a command runs: `sie-sym --help` answers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sie_sym.errors import FormulaError, SieSymError
from sie_sym.model_text import ACTIVATIONS, MODELS, REDUCTIONS, ModelText, split

if TYPE_CHECKING:
    import sympy as sp

    from sie_sym.model import Model
    from sie_sym.population_loss import PopulationLoss
    from sie_sym.target import Target

Command = TypeVar("Command", bound=Callable[..., Any])

REDUCTION_HELP = (
    f"Of softmax attention: {', '.join(REDUCTIONS)} (trace/sqrt L); projection:1,0;0,1 (a^T S b); or any linear map, "
    "linear:[[1,0,0,1]], a row an output."
)
INJECTION_HELP = "Fixed shift phi(z + c), one number a token: 1,0; scores:1,0 is softmax(z z^T + c c^T)."
MOST_TOKENS = 100_000

_TARGET = (
    click.option("-g", "--target", "target_text", required=True, metavar="FORMULA|@NAME", help="The target g(z1..zL)."),
    click.option(
        "--tokens", type=click.IntRange(1, MOST_TOKENS), metavar="L", help="Sequence length (default: largest token)."
    ),
    click.option(
        "--param", "parameters", multiple=True, metavar="NAME=VALUE", help="Value of a parameter; repeatable, exact."
    ),
    click.option("--from-latex", is_flag=True, help="Target, model and claim are LaTeX, all of them."),
)
_NAMED = f"{', '.join(MODELS)}, or phi(z1..zL)."
_CHOSEN = click.option("--model", "model_text", required=True, metavar="NAME|FORMULA", help=_NAMED)
_PERHAPS = click.option("--model", "model_text", metavar="NAME|FORMULA", help=_NAMED)
_NETWORK = (
    click.option(
        "--activation", metavar="NAME|FORMULA", help=f"sigma of a tied network: {', '.join(ACTIVATIONS)}, or sigma(u)."
    ),
    click.option("--reduction", metavar="NAME|MAP", help=REDUCTION_HELP),
    click.option("--encoding", metavar="C", help="Positional encoding: 1,-1 (columns separated by ;)."),
    click.option("--inject", metavar="C", help=INJECTION_HELP),
)
_ORDER = click.option(
    "--order", type=click.IntRange(0, 200), metavar="K", help="Last power of m kept of an infinite sum."
)
_OUTPUT = (
    click.option("--json", "as_json", is_flag=True, help="One JSON object."),
    click.option("--latex", "as_latex", is_flag=True, help="LaTeX, its conventions in comment lines."),
    click.option(
        "-o", "--output", type=click.Path(dir_okay=False), metavar="FILE",
        help="Write the result to FILE as well: .tex (a document), .json or .txt.",
    ),
)  # fmt: skip


def _with(options: Sequence[Callable[[Command], Command]]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


target_options = _with(_TARGET)
model_options = _with((_CHOSEN, *_NETWORK, _ORDER))
optional_model_options = _with((_PERHAPS, *_NETWORK, _ORDER))
simulated_model_options = _with((_CHOSEN, *_NETWORK))
output_options = _with(_OUTPUT)


def assignments(texts: Sequence[str], what: str) -> dict[str, sp.Expr]:
    """{name: exact number} of NAME=VALUE texts.

    >>> assignments(["a=.76"], "--param")
    {'a': 19/25}
    """
    from sie_sym.parse import parse_number

    values: dict[str, sp.Expr] = {}
    for text in texts:
        name, equals, number = text.partition("=")
        name = name.strip()
        if not equals or not name or not number.strip():
            raise FormulaError(f"{what} {text[:60]!r} is not NAME=VALUE: write e.g. {what} a=0.76")
        if name in values:
            raise FormulaError(f"{what} gives {name[:60]} twice: give it one value")
        try:
            values[name] = parse_number(number)
        except FormulaError as error:
            raise FormulaError(f"{what} {name[:60]}: {error}") from None
    return values


@dataclass(frozen=True)
class Question:
    """The texts of the options that say which target and which model are meant."""

    target_text: str
    tokens: int | None = None
    parameters: Sequence[str] = ()
    from_latex: bool = False
    model_text: str | None = None
    activation: str | None = None
    reduction: str | None = None
    encoding: str | None = None
    inject: str | None = None
    order: int | None = None
    _used: set[str] = field(default_factory=set, compare=False)

    @cached_property
    def target(self) -> Target:
        """g, its parameters replaced by the values given."""
        found = self._target
        if self.model_text is not None and self.tokens is None and self._model_tokens > found.tokens:
            found = replace(found, tokens=self._model_tokens)
        if self.model_text is None:
            self._refuse_unknown(map(str, found.parameters))
        return replace(found, components=self._substituted(found.components, "the target"))

    @cached_property
    def _target(self) -> Target:
        from sie_sym.paper_targets import named_target
        from sie_sym.target import Target

        text = self.target_text.strip()
        if text.startswith("@"):
            return named_target(text, self.tokens)
        return Target.of(self._formula(text), self.tokens)

    @cached_property
    def model(self) -> Model:
        """phi with its encoding and injection, its parameters replaced by the values given."""
        name = (self.model_text or "").strip()
        text = ModelText(name, self.activation, self.reduction, self.encoding, self.inject, label="--")
        if name == "untied":
            raise SieSymError(
                "--model untied has one weight vector a token, so its overlaps are not (m, eps): "
                "this command needs one for all tokens, e.g. --model tied"
            )
        model = text.model(self.target.tokens, self._model_formula)
        clash = sorted({str(p) for p in model.parameters} & {str(s) for s in model.statistics})
        if clash:
            raise FormulaError(f"{', '.join(clash)} in the model is the name of an overlap: rename the parameter")
        self._refuse_unknown(map(str, {*self._target.parameters, *model.parameters}))
        return model.rewritten(self._substituted)

    @cached_property
    def loss(self) -> PopulationLoss:
        """The population loss of the model on the target."""
        from sie_sym.population_loss import DEFAULT_ORDER, population_loss

        return population_loss(self.target, self.model, DEFAULT_ORDER if self.order is None else self.order)

    def require_numbers(self) -> None:
        """Raise `SieSymError` if parameters are left free."""
        left = sorted({str(p) for p in (*self.target.parameters, *self.model.parameters)})
        if left:
            values = " ".join(f"--param {p}=0.5" for p in left)
            raise SieSymError(f"the loss depends on the parameter {', '.join(left)}, a number is needed: pass {values}")

    # ---- texts ------------------------------------------------------------------------------------

    def _formula(self, text: str) -> sp.Expr | sp.MatrixBase:
        if self.from_latex:
            from sie_sym.parse_latex import parse_latex

            return parse_latex(text, tokens=self.tokens)
        from sie_sym.parse import parse_formula

        return parse_formula(text)

    @cached_property
    def _model_formula(self) -> sp.Expr | sp.MatrixBase | None:
        from sie_sym.paper_targets import nearest
        from sie_sym.target import tokens_of

        text = (self.model_text or "").strip()
        if text in MODELS:
            return None
        formula = self._formula(text)
        entries = list(formula) if hasattr(formula, "rows") else [formula]
        if not any(tokens_of(entry) for entry in entries):
            raise FormulaError(
                f"the model {text[:60]!r} reads no token: choose {nearest(text, MODELS)}, or write phi in z1, z2, ..."
            )
        return formula

    @property
    def _model_tokens(self) -> int:
        from sie_sym.target import tokens_of

        formula = self._model_formula
        if formula is None:
            return 1
        entries = list(formula) if hasattr(formula, "rows") else [formula]
        return max((max(tokens_of(entry), default=1) for entry in entries), default=1)

    # ---- parameters -------------------------------------------------------------------------------

    @property
    def values(self) -> dict[sp.Symbol, sp.Expr]:
        """The parameters that were given values."""
        import sympy as sp

        return {sp.Symbol(name, real=True): value for name, value in self._values.items()}

    @cached_property
    def _values(self) -> dict[str, sp.Expr]:
        values = assignments(self.parameters, "--param")
        if self._counts_tokens:
            import sympy as sp

            number = sp.Integer(self.tokens)
            if values.setdefault("L", number) != number:
                remedy = "leave it out, or rename the parameter"
                raise FormulaError(f"--param L={values['L']}, but the limit L of a sum is --tokens {number}: {remedy}")
        return values

    @cached_property
    def _counts_tokens(self) -> bool:
        """Whether a limit of a sum reads L, which then is the number of tokens in every formula."""
        if not self.from_latex or self.tokens is None:
            return False
        from sie_sym.parse_latex import counts_tokens

        texts = (self.target_text.strip(), (self.model_text or "").strip())
        return any(counts_tokens(text) for text in texts if text not in MODELS and not text.startswith("@"))

    def _refuse_unknown(self, present: Any) -> None:
        names = sorted(present)
        for name in self._values:
            if name not in names and not (name == "L" and self._counts_tokens):
                known = f"its parameters are {', '.join(names)}" if names else "there is no parameter"
                raise FormulaError(f"--param {name[:60]} does not occur in the formulas: {known}")

    def _substituted(self, entries: Sequence[sp.Expr], what: str) -> tuple[sp.Expr, ...]:
        import sympy as sp

        if not self._values:
            return tuple(entries)
        values = {sp.Symbol(name, real=True): value for name, value in self._values.items()}
        given = ", ".join(f"{name} = {value}" for name, value in self._values.items())
        replaced = tuple(entry.subs(values) for entry in entries)
        for entry in replaced:
            if entry.has(sp.zoo, sp.nan, sp.oo, -sp.oo, sp.I):
                raise FormulaError(f"{what} is not a real number at {given}: choose other values")
        return replaced


def point(text: str, statistics: Sequence[sp.Symbol], option: str, *, in_ball: bool = True) -> dict[sp.Symbol, sp.Expr]:
    """The values of all statistics from a text like m=.3,eps=.2, inside the unit ball unless not `in_ball`.

    Raises `FormulaError` for a statistic that is unknown, left out or given twice, and for a point outside the ball.
    """
    values = assignments(split(text, ","), option)
    names = [str(s) for s in statistics]
    for name in values:
        if name not in names:
            remedy = "; --encoding gives positional ones" if name.startswith("eps") and len(names) == 1 else ""
            raise FormulaError(f"{option} {name[:60]}: the statistics are {', '.join(names)}{remedy}")
    missing = [name for name in names if name not in values]
    if missing:
        raise FormulaError(f"{option} leaves out {', '.join(missing)}: write {','.join(f'{n}=0.01' for n in names)}")
    import sympy as sp

    square = sp.Add(*(value**2 for value in values.values()))
    if in_ball and (square > 1) == sp.true:
        where = ", ".join(f"{name} = {value}" for name, value in values.items())
        raise FormulaError(f"{option} {where} is outside the unit ball: overlaps have m^2 + |eps|^2 <= 1")
    return {s: values[str(s)] for s in statistics}


__all__ = [
    "ACTIVATIONS",
    "INJECTION_HELP",
    "MODELS",
    "MOST_TOKENS",
    "REDUCTION_HELP",
    "Question",
    "assignments",
    "model_options",
    "optional_model_options",
    "output_options",
    "point",
    "simulated_model_options",
    "split",
    "target_options",
]
