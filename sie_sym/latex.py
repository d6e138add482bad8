r"""LaTeX of the results: `latex(result)` to paste, `latex_document(results)` to compile, `_repr_latex_` for notebooks.

Every formula is plain amsmath that KaTeX reads in strict mode too; the conventions behind it (normalisation of He, the
factor of the loss, the unit of time, the equation of arXiv:2506.02651) stand in comment lines before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sympy as sp

import sie_sym.typesetting.gain  # noqa: F401  (it registers itself)
from sie_sym.errors import TruncationError
from sie_sym.evidence import Evidence
from sie_sym.expansion import HermiteExpansion
from sie_sym.exponents import InformationExponent
from sie_sym.flow import Flow
from sie_sym.gradient_noise import GradientNoise
from sie_sym.hermite import MultiIndex, dense
from sie_sym.landscape import Landscape
from sie_sym.model import Model
from sie_sym.population_loss import PopulationLoss
from sie_sym.target import Target
from sie_sym.typesetting.latex_printer import as_text, display, matrix, printed
from sie_sym.typesetting.numbers import escape_formulas, escape_remarks
from sie_sym.typesetting.tables import Coefficients, leading_entries
from sie_sym.typesetting.typeset import (
    HERMITE,
    LOSS,
    SETTING,
    TENSOR,
    TIME,
    Typeset,
    document,
    node_conventions,
    typeset,
)

_ROWS = 24
_DENSE_TOKENS = 8


@dataclass(frozen=True)
class FlowEquation:
    """The flow of a loss written out, and one trajectory of it; `rate` is gamma."""

    loss: PopulationLoss
    flow: Flow
    rate: float = 0.0


def latex(result: object) -> str:
    r"""The LaTeX source of a result: comment lines with the conventions, then displayed formulas.

    Raises `SieSymError` for an object that is no result.

    >>> from sie_sym.functions import token
    >>> print(latex(Target.of(token(1) * token(2))))
    % Target g: R^2 -> R
    % z_l: the local field of token l, standard normal under the data.
    \[
    g(z) = z_{1} z_{2}
    \]
    """
    return typeset(result).source()


def latex_document(results: Iterable[object], title: str = "sie-sym") -> str:
    """A whole document with one section a result, ready for pdflatex."""
    return document((typeset(result).section() for result in results), title)


def _components(entries: Sequence[sp.Expr], shape: Sequence[int], letter: str = "z") -> str:
    if len(entries) == 1 and not shape:
        return printed(entries[0], letter)
    columns = shape[1] if len(shape) > 1 else 1
    rows = [entries[i : i + columns] for i in range(0, len(entries), columns)]
    return matrix(rows, letter)


def _multi_index(alpha: MultiIndex, tokens: int) -> str:
    if tokens <= _DENSE_TOKENS:
        return "(" + ",".join(map(str, dense(alpha, tokens))) + ")"
    return " + ".join((f"{n} " if n > 1 else "") + f"e_{{{l}}}" for l, n in alpha) or "0"


def _table(entries: Mapping[MultiIndex, Sequence[sp.Expr]], tokens: int) -> list[str]:
    """C_alpha = value, a few dozens a formula."""
    lines = []
    for alpha, values in entries.items():
        shown = printed(values[0]) if len(values) == 1 else matrix([[v] for v in values])
        lines.append(rf"C_{{{_multi_index(alpha, tokens)}}} &= {shown}")
    chunks = [lines[i : i + _ROWS] for i in range(0, len(lines), _ROWS)]
    return [r"\begin{aligned}" + " \\\\\n".join(chunk) + r"\end{aligned}" for chunk in chunks]


def _arguments(symbols: Sequence[sp.Symbol]) -> str:
    return ", ".join(printed(s) for s in symbols)


@typeset.register
def _(evidence: Evidence) -> Typeset:
    meaning = {
        Evidence.EXACT: "algebra or a symmetry proves it",
        Evidence.ENCLOSED: "a ball-arithmetic interval contains it",
        Evidence.NUMERICAL: "a value with an error estimate that two independent computations support",
        Evidence.UNDECIDED: "not known",
    }[evidence]
    return Typeset(f"Evidence: {evidence.value}: {meaning}", (), (rf"\text{{{evidence.value}}}",))


@typeset.register
def _(target: Target) -> Typeset:
    outputs = "R" if not target.shape else f"R^{{{' x '.join(map(str, target.shape))}}}"
    return Typeset(
        f"Target{' ' + target.name if target.name else ''} g: R^{target.tokens} -> {outputs}",
        ("z_l: the local field of token l, standard normal under the data.", *node_conventions(target.components)),
        (display("g(z)", target.components[0]),)
        if not target.shape
        else (f"g(z) = {_components(target.components, target.shape)}",),
    )


@typeset.register
def _(model: Model) -> Typeset:
    shape: tuple[int, ...] = () if len(model.components) == 1 else (len(model.components),)
    if len(model.components) == model.tokens**2 > 1:
        shape = (model.tokens, model.tokens)
    formulas = [rf"\varphi(z) = {_components(model.components, shape)}"]
    if model.positional:
        rows = [list(model.encoding.row(i)) for i in range(model.tokens)]
        overlaps = matrix([[s] for s in model.positional])
        formulas.append(rf"e = C \varepsilon = {matrix(rows)} {overlaps}" if len(model.positional) > 1
                        else rf"e = C \varepsilon, \qquad C = {matrix(rows)}")  # fmt: skip
    if model.injection:
        shift = matrix([[c] for c in model.injection])
        formulas.append(rf"\text{{injected: }} \varphi(z) = \varphi_0(z + c), \qquad c = {shift}")
    if model.scores:
        shift = matrix([[c] for c in model.scores])
        formulas.append(rf"\text{{scores: }} z z^\top + c c^\top, \qquad c = {shift}")
    return Typeset(
        f"Model ({model.family}) phi: R^{model.tokens} -> R^{len(model.components)}",
        (SETTING, "Encoding: rows P_l = sum_i C_li u_i / d, |u_i|^2 = d.", *node_conventions(model.components)),
        tuple(formulas),
    )


@typeset.register
def _(found: InformationExponent) -> Typeset:
    definition = r"\mathrm{SIE}(g) = \min\{ j \ge 1 : C_j(g) \ne 0 \}"
    remarks = list(found.reasons)
    tables: list[str] = []
    if found.exponent is None:
        formulas = [definition]
        remarks.append(f"no exponent: {found.evidence.value}")
    else:
        formulas = [f"{definition} = {found.exponent}"]
        try:
            tables = _table(leading_entries(found), found.target.tokens)
        except TruncationError as error:
            remarks.append(str(error))
    if found.strata:
        exponents = ["?" if s.exponent is None else str(s.exponent) for s in found.strata]
        whens = [as_text(s.when, math=False) for s in found.strata]
        cases = [rf"{j} & \text{{{when}}}" for j, when in zip(exponents, whens, strict=True)]
        formulas.append(r"\mathrm{SIE}(g) = \begin{cases}" + r" \\ ".join(cases) + r"\end{cases}")
    samples = found.samples
    value = "none" if found.exponent is None else str(found.exponent)
    if samples is not None:
        rate = {"d": "d", "d log(d)^2": r"d \log^2 d"}.get(samples.proved, f"d^{{{samples.proved[2:]}}}")
        sharp = r" \quad (\text{sharp: } d \log d)" if samples.sharp != samples.proved else ""
        formulas.append(rf"n = O_L\left({rate}\right){sharp}")
    return Typeset(
        f"Sequence information exponent: {value} ({found.evidence.value})",
        (TENSOR, "SIE: arXiv:2506.02651, Def. 2; samples n to weak recovery: Thm 1.", HERMITE),
        (*typeset(found.target).formulas, *formulas, *tables),
        tuple(remarks),
    )


def _transforms(expansion: HermiteExpansion) -> str:
    entries = [transform.expression() for transform in expansion.transforms]
    if len(entries) == 1:
        return display(r"(\mathcal{G} g)(t) = \mathbb{E}\, g(t + Z)", entries[0], letter="t")
    return rf"(\mathcal{{G}} g)(t) = \mathbb{{E}}\, g(t + Z) = {matrix([[e] for e in entries], 't')}"


@typeset.register
def _(expansion: HermiteExpansion) -> Typeset:
    return Typeset(
        "Hermite expansion: the Weierstrass transform",
        (TENSOR, "C_alpha is the derivative d^alpha of G g at t = 0, Z standard normal.", HERMITE),
        (r"g(z) = \sum_{\alpha} \frac{C_{\alpha}}{\alpha!} \mathrm{He}_{\alpha}(z)", _transforms(expansion)),
    )


@typeset.register
def _(table: Coefficients) -> Typeset:
    general = typeset(table.expansion)
    rows = _table(table.entries, table.expansion.tokens)
    return Typeset(
        f"Hermite coefficients up to order {table.order}; those not listed are zero",
        general.conventions,
        (*general.formulas, *rows),
    )


@typeset.register
def _(loss: PopulationLoss) -> Typeset:
    general = (
        r"R = \mathbb{E} \lVert g(z^\star) - \varphi(z) \rVert^2 = \mathbb{E} \lVert g \rVert^2 "
        r"- 2 \sum_{k \ge 0} \frac{m^k}{k!} \langle C_k(g), C_k(\varphi(\cdot + e)) \rangle "
        r"+ \mathbb{E} \lVert \varphi(\cdot + e) \rVert^2"
    )
    name = f"R({_arguments(loss.statistics)})"
    formulas = [general, display(name, loss.expression)]
    title = "Population loss"
    if loss.order is not None:
        title += f", powers of m above {loss.order} left out"
        formulas.append(display(r"\lvert \text{error of } R \rvert", loss.bound, relation=r"\le"))
    return Typeset(
        f"{title} ({loss.evidence.value})",
        (LOSS, SETTING, *node_conventions([loss.expression, loss.bound])),
        (*typeset(loss.target).formulas, *typeset(loss.model).formulas, *formulas),
    )


@typeset.register
def _(found: Landscape) -> Typeset:
    vector = rf"({_arguments(found.statistics)})"
    rows = [list(found.hessian.row(i)) for i in range(found.hessian.rows)]
    kappa = r"\infty" if found.flatness_index is None else str(found.flatness_index)
    formulas = [
        rf"\nabla R(0) = {matrix([[slope] for slope in found.gradient])}, \qquad s = {vector}",
        rf"\nabla^2 R(0) = {matrix(rows)}",
        rf"\kappa = \min\{{ k \ge 1 : \nabla^k R(0) \ne 0 \}} = {kappa}",
    ]
    formulas += escape_formulas(found.escape, found.visible)
    entries = [*found.gradient, *found.hessian]
    return Typeset(
        f"Landscape at initialization ({found.evidence.value})",
        (LOSS, SETTING, "kappa: flatness index (arXiv:2506.02651, Prop. 1 and Lemma 1).", *node_conventions(entries)),
        tuple(formulas),
        escape_remarks(found.escape, found.visible),
    )


@typeset.register
def _(noise: GradientNoise) -> Typeset:
    formulas = [
        r"V = \mathbb{E} \sum_l \delta_l^2, \qquad "
        r"\delta_l = -2 \langle g(z^\star) - \varphi(z), \partial_l \varphi(z) \rangle",
        display(f"V({_arguments(noise.statistics)})", noise.expression),
    ]
    title = "Gradient noise of a finite learning rate"
    if noise.order is not None:
        title += f", powers of m above {noise.order} left out"
        formulas.append(display(r"\lvert \text{error of } V \rvert", noise.bound, relation=r"\le"))
    return Typeset(title, (TIME, SETTING, *node_conventions([noise.expression])), tuple(formulas))


def _decimal(value: float) -> str:
    mantissa, _, exponent = f"{value:.4g}".partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa


def _flow_law(statistics: Sequence[sp.Symbol]) -> str:
    return (
        r"\dot s = -\left(\Gamma - s s^{\top}\right) \nabla R(s) - \frac{\gamma}{2} V(s)\, s, "
        rf"\qquad s = ({_arguments(statistics)})"
    )


@typeset.register
def _(flow: Flow) -> Typeset:
    start, end = (", ".join(map(_decimal, flow.states[row])) for row in (0, -1))
    return Typeset(
        f"Flow, ended by {flow.ended}",
        (TIME, "Gamma: Gram matrix of (w*, u_1, ..., u_r)/d, the identity unless w* has a positional part.", LOSS),
        (
            _flow_law(flow.statistics),
            rf"s(0) = ({start}), \qquad s({_decimal(flow.t[-1])}) = ({end})",
        ),
    )


@typeset.register
def _(equation: FlowEquation) -> Typeset:
    loss, general = equation.loss, typeset(equation.flow)
    slopes = [sp.diff(loss.expression, s) for s in loss.statistics]
    radial = sp.Add(*(s * slope for s, slope in zip(loss.statistics, slopes, strict=True)))
    formulas = []
    for s, slope in zip(loss.statistics, slopes, strict=True):
        drift = sp.collect(sp.expand(-slope + s * radial), s) if slope.is_polynomial() else -slope + s * radial
        noise = "" if equation.rate == 0 else rf" - \frac{{\gamma}}{{2}} V\, {printed(s)}"
        formulas.append(display(rf"\dot{{{printed(s)}}}", drift, suffix=noise))
    rate = (rf"\gamma = {_decimal(equation.rate)}",) if equation.rate else ()
    return Typeset(
        general.title,
        (*general.conventions, *node_conventions(slopes)),
        (general.formulas[0], *formulas, *rate, general.formulas[1]),
    )


def _repr_latex(self: object) -> str:
    """What a notebook shows: the formulas."""
    return "\n\n".join(f"$$\n{formula}\n$$" for formula in typeset(self).formulas)


def _attach(kinds: Iterable[type]) -> None:
    # The results stand before this module on the street and so cannot name it; they learn to print here.
    name = "_repr_latex_"
    for kind in kinds:
        setattr(kind, name, _repr_latex)


_attach(kind for kind in typeset.registry if kind is not object)


__all__ = ["FlowEquation", "Typeset", "latex", "latex_document", "typeset"]
