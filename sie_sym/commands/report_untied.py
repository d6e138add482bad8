"""The section of a report about an untied network: its loss in one overlap a token, and its flow."""

from __future__ import annotations

from sie_sym.commands.options import Question
from sie_sym.errors import SieSymError
from sie_sym.gaussian import GaussianExpectation, evidence_of
from sie_sym.population_loss import DEFAULT_ORDER
from sie_sym.report import Formula, Section
from sie_sym.typesetting.latex_printer import display, printed
from sie_sym.typesetting.typeset import LOSS, TIME, node_conventions
from sie_sym.untied import untied_loss

UNTIED_SETTING = "z*_l = <x_l, w*> and z_l = <x_l, W_l>: unit variances, covariance m_l, means 0."


def require_plain_network(question: Question, start: str | None) -> None:
    """Raise `SieSymError` for what an untied network does not have: encoding, injection, a start in (m, eps)."""
    for option, text in (("encoding", question.encoding), ("inject", question.inject), ("start", start)):
        if text is not None:
            raise SieSymError(f"--{option} {text[:60]} does not apply to --model untied in a report: leave it out")


def network_section(question: Question) -> tuple[Section, str]:
    """R(m_1, .., m_L), its drift at rates that tend to 0, and what kind of formula it is."""
    sigma = question.model.activation
    assert sigma is not None
    loss = untied_loss(question.target, sigma, order=DEFAULT_ORDER if question.order is None else question.order)
    overlaps = ", ".join(map(printed, loss.statistics))
    formulas = [display(f"R({overlaps})", loss.expression)]
    if loss.order is not None:
        formulas.append(display(r"\lvert \text{error} \rvert", loss.bound, relation=r"\le"))
    drifts = zip(loss.statistics, loss.drift(), strict=True)
    formulas += [display(rf"\frac{{d {printed(m)}}}{{dt}}", drift) for m, drift in drifts]
    integrals = ", with Gaussian integrals" if loss.expression.has(GaussianExpectation) else ""
    cut = "closed form" if loss.order is None else f"powers of the overlaps to {loss.order}"
    section = Section(
        "Population loss and flow",
        evidence_of([loss.expression]),
        notes=("Token l has a weight vector W_l of its own, |W_l|^2 = d, and the overlap m_l = <W_l, w*>/d (Lemma 5); "
               "the flow is that of learning rates that tend to 0 (Prop. 2).",),
        formulas=tuple(map(Formula, formulas)),
        conventions=(LOSS, TIME, *node_conventions([loss.expression])),
    )  # fmt: skip
    return section, cut + integrals


__all__ = ["UNTIED_SETTING", "network_section", "require_plain_network"]
