"""What a report of a target, and of a model on it, has: one section after another, each with what it rests on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import sympy as sp

from sie_sym.commands.dynamics import gain_answer
from sie_sym.commands.landscape import landscape_answer
from sie_sym.commands.numbers import NumericalQuestion
from sie_sym.commands.options import MODELS, point
from sie_sym.commands.output import Answer
from sie_sym.commands.report_flow import flow_section, small_start
from sie_sym.commands.report_untied import UNTIED_SETTING, network_section, require_plain_network
from sie_sym.digits import decimal, shown
from sie_sym.errors import SieSymError
from sie_sym.evidence import Evidence
from sie_sym.expansion import HermiteExpansion
from sie_sym.exponents import InformationExponent, information_exponent
from sie_sym.gain import gain
from sie_sym.gaussian import GaussianExpectation, evidence_of
from sie_sym.gradient_noise import GradientNoise
from sie_sym.hermite import dense
from sie_sym.latex import latex, typeset
from sie_sym.population_loss import require_compatible
from sie_sym.report import Cell, Formula, Section, Table, missing, section
from sie_sym.typesetting.latex_printer import printed
from sie_sym.typesetting.tables import Coefficients
from sie_sym.typesetting.typeset import LOSS, SETTING, TIME

_ROWS = 40
_NO_MODEL = "the loss, its landscape and the dynamics are those of a model on the target: pass --model"
_EQUATION_9 = (
    r"R(m, \varepsilon) = \mathbb{E} \lVert g \rVert^2 - 2 \sum_{k = 0}^{K} \frac{m^k}{k!} "
    r"\langle C_k(g), C_k(\varphi(\cdot + e)) \rangle + \mathbb{E} \lVert \varphi(\cdot + e) \rVert^2"
)


@dataclass
class Report:
    """The sections of a question in order, and `summary`, which they fill while they are made."""

    question: NumericalQuestion
    start: str | None = None
    eta: float = 0.1
    order: int | None = None
    untied: bool = False
    summary: list[tuple[str, str, Evidence | None]] = field(default_factory=list)

    def require_readable(self) -> None:
        """Raise `SieSymError` for what is wrong with the question itself: there would be nothing to report."""
        assert self.question.target.tokens
        if self.untied:
            require_plain_network(self.question, self.start)
        if self.question.model_text is not None:
            statistics = self.question.model.statistics
            if self.start is not None:
                point(self.start, statistics, "--start")
            require_compatible(self.question.target, self.question.model)
        elif self.start is not None:
            raise SieSymError(f"--start {self.start[:60]} needs a model: pass --model")

    def sections(self) -> Iterator[tuple[str, Callable[[], Section]]]:
        """(title, how it is made); what cannot be computed becomes a section that says why."""
        parts: list[tuple[str, Callable[[], Section]]] = [
            ("Setting", self.setting),
            ("Sequence information exponent", self.exponent),
            ("Hermite coefficients", self.coefficients),
        ]
        if self.question.model_text is None:
            parts.append(("What a model sees", lambda: missing("What a model sees", _NO_MODEL)))
        elif self.untied:
            parts += [("Population loss and flow", self.network), ("Tied against untied network", self.gain)]
        else:
            parts += [
                ("Population loss", self.loss),
                ("Landscape at initialization", self.landscape),
                ("Dynamics", self.dynamics),
                ("Finite learning rate", self.noise),
            ]
            if self.question.model.family in ("tied", "linear-attention"):
                parts.append(("Tied against untied network", self.gain))
        for title, make in parts:
            yield title, partial(self._guarded, title, make)

    def _guarded(self, title: str, make: Callable[[], Section]) -> Section:
        try:
            return make()
        except SieSymError as error:
            return missing(title, error)

    # ---- the target -------------------------------------------------------------------------------

    def setting(self) -> Section:
        """g, phi, the encoding, and the parameters' values.  What is wrong with them ends the report."""
        question = self.question
        found = section(question.target, "Setting", evidence=None)
        notes = [f"Target g: {question.target_text.strip()}, L = {question.target.tokens} tokens."]
        formulas, conventions = list(found.formulas), list(found.conventions)
        if question.model_text is not None:
            model = typeset(question.model)
            names = [("reduction", question.reduction), ("activation", question.activation)]
            if question.model_text.strip() == "softmax-attention" and question.reduction is None:
                names[0] = ("reduction", "identity")
            options = ", ".join(f"{name} {text}" for name, text in names if text is not None)
            written = "untied" if self.untied else question.model_text.strip()
            known = written if written in MODELS else f"phi(z) = {written}"
            overlaps = "m_l, one a token" if self.untied else ", ".join(map(str, question.model.statistics))
            notes.append(f"Model: {known}{f' ({options})' if options else ''}, statistics {overlaps}.")
            formulas += map(Formula, model.formulas)
            conventions += [UNTIED_SETTING] if self.untied else model.conventions
        else:
            notes.append("No model: what follows is about the target alone.")
        given = ", ".join(f"{symbol} = {value}" for symbol, value in question.values.items())
        free = {*question.target.parameters, *(question.model.parameters if question.model_text is not None else ())}
        if given:
            notes.append(f"Parameters: {given}.")
        if free:
            notes.append(f"Free parameters: {', '.join(sorted(map(str, free)))}.")
        return replace(found, notes=tuple(notes), formulas=tuple(formulas), conventions=tuple(conventions))

    @cached_property
    def _exponent(self) -> InformationExponent:
        return information_exponent(self.question.target)

    def exponent(self) -> Section:
        """The SIE with its proof and its strata."""
        found = self._exponent
        value = "none" if found.exponent is None else str(found.exponent)
        self.summary.append(("Sequence information exponent", value, found.evidence))
        if found.samples is not None:
            sharp = "" if found.samples.sharp == found.samples.proved else f"; sharp: {found.samples.sharp}"
            self.summary.append(("Samples to weak recovery", f"n = O({found.samples.proved}){sharp} (Thm 1)", None))
        given = {formula for formula in typeset(self.question.target).formulas}
        made = section(found, "Sequence information exponent")
        return replace(made, formulas=tuple(f for f in made.formulas if f.latex not in given))

    def coefficients(self) -> Section:
        """C_alpha to the order asked for, each with its label."""
        target = self.question.target
        order = self.order
        if order is None:
            try:
                order = max(4, min(self._exponent.exponent or 4, 8))
            except SieSymError:
                order = 4
        expansion = HermiteExpansion.of(target.components, target.tokens)
        general = section(expansion, "Hermite coefficients", evidence=None)
        table = Coefficients(expansion, order)
        entries = list(table.entries.items())
        outputs = len(target.components)
        names = ["C_alpha"] if outputs == 1 else [f"C_alpha, output {i + 1}" for i in range(outputs)]
        rows: list[tuple[Cell, ...]] = [
            (str(tuple(dense(alpha, target.tokens))), *map(_cell, values), evidence_of(values))
            for alpha, values in entries[:_ROWS]
        ]
        left = len(entries) - len(rows)
        note = f"{left} more are left out here (the LaTeX has them all). " if left > 0 else ""
        made = Table(
            ("alpha", *names, "known"), tuple(rows), latex(table), f"{note}All others to order {order} are zero."
        )
        return replace(general, evidence=evidence_of(v for _, values in entries for v in values), tables=(made,))

    # ---- the model on it --------------------------------------------------------------------------

    @property
    def _is_tabulated(self) -> bool:
        """Whether the sum over powers of m is infinite and its terms are integrals that take long."""
        return self.question.coupled > 1 and self.question.degree is None and self.question.order is None

    def loss(self) -> Section:
        """R in closed form, or how it is computed; its values at some points."""
        question = self.question
        statistics = question.model.statistics
        if self._is_tabulated:
            table = question.table.table
            made = Section(
                "Population loss",
                Evidence.NUMERICAL,
                notes=(
                    f"The sum over powers of m is infinite and its terms are integrals over {question.coupled} tokens "
                    "without closed form: --order 12 writes its start out. The numbers here come from a table over "
                    f"(m, eps) of both functions, on two grids that must agree, with K = {table.order}; the error in "
                    "the table below adds the grids' estimate to the proved bound on what is cut off beyond K.",
                ),
                formulas=(Formula(_EQUATION_9),),
                conventions=(LOSS, SETTING),
            )
        else:
            given = {*typeset(question.target).formulas, *typeset(question.model).formulas}
            made = section(question.loss, "Population loss")
            made = replace(made, formulas=tuple(f for f in made.formulas if f.latex not in given))
            if question.loss.order is not None:
                made = replace(made, notes=(f"Powers of m above {question.loss.order} are left out; the last formula "
                                            "bounds what that costs.",))  # fmt: skip
        self.summary.append(("Population loss", self._kind_of_loss, made.evidence))
        try:
            rows = tuple(self._values())
        except SieSymError as error:
            return replace(made, notes=(*made.notes, f"Values: not computed: {error}"))
        return replace(made, tables=(Table((*map(str, statistics), "R", "error", "known"), rows),))

    @property
    def _kind_of_loss(self) -> str:
        if self._is_tabulated:
            return "tabulated"
        loss = self.question.loss
        integrals = ", with Gaussian integrals" if loss.expression.has(GaussianExpectation) else ""
        return f"closed form{integrals}" if loss.order is None else f"powers of m to {loss.order}{integrals}"

    def _values(self) -> Iterator[tuple[Cell, ...]]:
        statistics = self.question.model.statistics
        half, zero = sp.Rational(1, 2), sp.Integer(0)
        corners = [tuple(sp.Integer(int(i == j)) for i in range(len(statistics))) for j in range(len(statistics))]
        places = [
            (zero,) * len(statistics),
            *(tuple(half if i == j else zero for i in range(len(statistics))) for j in range(len(statistics))),
            *([(half,) * 2] if len(statistics) == 2 else []),
            *corners,
        ]
        exact_loss = not self._is_tabulated and self.question.loss.evidence is Evidence.EXACT
        for place in places:
            at = dict(zip(statistics, place, strict=True))
            exact = self.question.loss.expression.subs(at) if exact_loss else sp.nan
            if exact.is_Rational and self.question.loss.order is None:
                yield *map(str, place), Formula(printed(exact)), "0", Evidence.EXACT
                continue
            value, error, proved = self.question.value(at)
            error += math.ulp(value)
            known = Evidence.ENCLOSED if proved else Evidence.NUMERICAL
            yield *map(str, place), decimal(value, error), f"{error:.0e}", known

    @cached_property
    def _landscape(self) -> Answer:
        return landscape_answer(self.question)

    def landscape(self) -> Section:
        """Gradient, Hessian, flatness index, escape."""
        answer = self._landscape
        found, data = answer.results[0], answer.data
        kappa = data["flatness_index"]
        self.summary.append(("Flatness index", "none" if kappa is None else str(kappa), Evidence(data["evidence"])))
        direction = data["escape_direction"]
        leaves = "none" if direction is None else (
            f"order {data['escape_index']}, {data['escapes']}, along ({', '.join(direction)})"
        )  # fmt: skip
        self.summary.append(("Escape from initialization", leaves, Evidence(data["evidence"])))
        made = section(found, "Landscape at initialization")
        if "hessian_exact" not in data:
            return replace(made, notes=tuple(data["reasons"][2:]))
        rows = tuple((name, *row) for name, row in zip(data["statistics"], data["hessian"], strict=True))
        digits = Table(("Hessian in digits", *data["statistics"]), rows)
        return replace(made, notes=tuple(data["reasons"][2:]), tables=(digits,))

    def dynamics(self) -> Section:
        """The flow from a small start, its recovery time, and the pictures of R and of the flow."""
        self.question.require_numbers()
        statistics = self.question.model.statistics
        try:
            found: Any = self._landscape.results[0]
            at = small_start(statistics, found.escape)
        except SieSymError:
            at = small_start(statistics, None)
        at = at if self.start is None else point(self.start, statistics, "--start")
        made, recovery = flow_section(self.question, at, self.eta)
        self.summary.append(("Weak recovery", recovery, Evidence.NUMERICAL))
        return made

    def noise(self) -> Section:
        """V, and the largest useful learning rate."""
        free = {*self.question.target.parameters, *self.question.model.parameters}
        noise = self.question.noise
        limit = None if free else self.question.gamma_max
        notes = [
            "At learning rate gamma the noise adds -(gamma/2) V(s) s to the flow."
            + ("" if limit is None else f" Above gamma_max = -2 lambda / V(0) = {limit:.6g}, lambda the lowest "
               "curvature at the start, SGD does not leave it (linear stability).")
        ]  # fmt: skip
        if limit is not None:
            self.summary.append(("Largest useful rate", f"gamma = {limit:.6g}", Evidence.NUMERICAL))
        if isinstance(noise, GradientNoise):
            proved = evidence_of((noise.expression,))
            return section(noise, "Finite learning rate", evidence=proved, notes=tuple(notes))
        origin = [0.0] * len(noise.statistics)
        value, error = float(noise.value(*origin)), float(noise.error(*origin))
        notes.append(f"V has no closed form here and is tabulated: V(0) = {decimal(value, error)}.")
        law = (
            r"V = \mathbb{E} \sum_l \delta_l^2, \qquad "
            r"\delta_l = -2 \langle g(z^\star) - \varphi(z), \partial_l \varphi(z) \rangle"
        )
        return Section("Finite learning rate", Evidence.NUMERICAL, tuple(notes), (Formula(law),),
                       conventions=(TIME, SETTING))  # fmt: skip

    def network(self) -> Section:
        """R of the untied network in one overlap a token, and its flow (Lemma 5, Prop. 2)."""
        made, kind = network_section(self.question)
        self.summary.append(("Population loss", kind, made.evidence))
        return made

    def gain(self) -> Section:
        """What an untied network of the same activation loses."""
        question = self.question
        sigma = question.model.activation
        assert sigma is not None
        found = gain(question.target, sigma)
        rows = gain_answer(found, question).rows[1:]
        cells = [(label, line) for label, lines in rows for line in ([lines] if isinstance(lines, str) else lines)]
        return Section(
            "Tied against untied network",
            found.evidence,
            notes=("How many times longer a network with one weight vector a token needs to recover the target "
                   "(Thm 2), to leading order in d, without encoding or injection.",),
            tables=(Table(("", ""), tuple((label, line) for label, line in cells if label != "evidence")),),
        )  # fmt: skip


def _cell(value: sp.Expr) -> Cell:
    return shown(value) if value.has(GaussianExpectation) else Formula(printed(value))


__all__ = ["Report"]
