"""The command `check`: is a formula of the user's right, and if not, where and by which convention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from sie_sym.commands.dynamics import emit_plain, file_option, json_option, simulated
from sie_sym.commands.options import Question, optional_model_options, target_options
from sie_sym.commands.output import Answer, Row, target_rows
from sie_sym.errors import SieSymError

if TYPE_CHECKING:
    from sie_sym.audit import Conventions, Counterexample, Verdict
    from sie_sym.model import Model
    from sie_sym.untied import NetworkLoss

_OF_THE_LOSS = ("loss", "dR", "G", "H", "drift", "V", "lambda_min")
_LONGEST = 400
"""Characters of a formula that are shown as text; --json prints all."""


@click.command(short_help="Is my formula right? A proof or a counterexample.")
@target_options
@optional_model_options
@click.option("--claim", required=True, metavar="CLAIM", help="'loss = 4 - 4*m^2', 'sie = 4', 'H[eps,eps] < 0', ...")
@click.option("--he-normalised", is_flag=True, help="The claim's C[..] uses he_k = He_k/sqrt(k!).")
@click.option("--coefficient-factor", type=click.Choice(["1", "1/k!", "1/alpha!"]), default="1",
              help="The claim's C[..] is E g He_alpha times this, k = |alpha|.")  # fmt: skip
@click.option("--loss-factor", default="1", metavar="FACTOR", help="The claim's R is FACTOR times E|g - phi|^2: 1/2.")
@click.option("--claim-reduction", type=click.Choice(["trace", "mean-trace"]),
              help="What the claim calls the trace of softmax attention.")  # fmt: skip
@click.option("--loss", "norm", type=click.Choice(["squared", "frobenius"]), default="squared",
              help="The loss of a claim about omega_c: frobenius is the official code's.")  # fmt: skip
@json_option
@file_option
def check(
    claim: str, he_normalised: bool, coefficient_factor: str, loss_factor: str, claim_reduction: str | None, norm: str,
    as_json: bool, output: str | None, **texts: Any,
) -> None:  # fmt: skip
    """Audit a formula: proved, refuted (at a point, with the convention that would make it right), or undecided.

    \b
    Claims: loss, R(1/2, 1/3), dR[m,eps] (its derivatives), G[m], H[m,eps] (those at initialization), drift[m], V
    (the noise), sie, C[2,0] (a Hermite coefficient; C[2,0;1] of one output), kappa (the flatness index), escape (the
    escape index), escapes (semantic, positional, mixed), lambda_min (the lowest curvature at initialization), omega_c
    (where H[m,m] = H[eps,eps]), rho and gain (tied against untied), related by = != < <= > >= to a formula in the
    overlaps m, eps and the parameters, or by ~ to a decimal, right to its last digit.  A list claims all the entries
    of a G, H, drift or C.
    With --from-latex target, model and claim are all LaTeX.  Exit code 0 if proved, 1 if refuted or undecided.

    \b
    Example: sie-sym check --model linear-attention -g "He(2,z1) + He(2,z2)" --claim "loss = 7 - 4*m^2"
    """
    from sie_sym.audit import check as audit
    from sie_sym.population_loss import DEFAULT_ORDER

    conventions = _conventions(claim, he_normalised, coefficient_factor, loss_factor, claim_reduction, norm, texts)
    order = DEFAULT_ORDER if texts["order"] is None else texts["order"]
    question, model = _subject(texts, order)
    verdict = audit(
        claim,
        question.target,
        model,
        conventions=conventions,
        latex=question.from_latex,
        order=order,
        values=question.values,
    )
    emit_plain(verdict_answer(verdict, question), as_json, output)
    if verdict.verdict != "proved":
        click.get_current_context().exit(1)


def _conventions(
    claim: str, he_normalised: bool, factor: str, loss_factor: str, reduction: str | None, norm: str,
    texts: Mapping[str, Any],
) -> Conventions:  # fmt: skip
    """The conventions asked for; raises `SieSymError` for one that the claim has nothing to do with."""
    from sie_sym.audit import Conventions
    from sie_sym.audits.claims import parse_claim
    from sie_sym.parse import parse_number

    parsed = parse_claim(claim, latex=texts["from_latex"], tokens=texts["tokens"])
    scale = parse_number(loss_factor)
    for option, given, quantities in (
        ("--he-normalised", he_normalised, ("C",)),
        ("--coefficient-factor", factor != "1", ("C",)),
        ("--loss-factor", scale != 1, _OF_THE_LOSS),
        ("--loss", norm != "squared", ("omega_c",)),
    ):
        if given and parsed.quantity not in quantities:
            raise SieSymError(f"{option} does not apply to a claim about {parsed.quantity}: leave it out")
    return Conventions("he" if he_normalised else "He", factor, scale, reduction, norm)


def _subject(texts: Mapping[str, Any], order: int) -> tuple[Question, Model | NetworkLoss | None]:
    """The question, and what its claim is about beside the target."""
    from sie_sym.untied import untied_loss

    if texts["model_text"] is None:
        for name in ("activation", "reduction", "encoding", "inject"):
            if texts[name] is not None:
                raise SieSymError(f"--{name} {texts[name][:60]} belongs to a model: give --model")
        return Question(**texts), None
    question, model = simulated(texts)
    if model.family != "untied":
        return question, model
    if model.injection:
        raise SieSymError(f"--inject {texts['inject'][:60]} does not apply to --model untied: it has none")
    assert model.activation is not None
    return question, untied_loss(question.target, model.activation, order=order)


def verdict_answer(found: Verdict, question: Question) -> Answer:
    """The command `check`; `difference` is ours - claimed."""
    from sie_sym.digits import shown
    from sie_sym.typesetting.plain_printer import PlainText

    difference = None if found.difference is None else str(found.difference)
    data = {
        "claim": found.claim.text,
        "verdict": found.verdict,
        "difference": difference,
        "counterexample": _point(found.counterexample),
        "remedy": found.remedy,
        "reason": found.reason,
        "ours": None if found.ours is None else str(found.ours),
        "claimed": str(found.claimed),
        "routes": [{"name": route.name, "agrees": route.agrees, "said": route.said} for route in found.routes],
        "evidence": found.evidence.value,
    }
    rows: list[Row] = [*target_rows(question.target)]
    if question.model_text is not None:
        rows.append(("phi(z)", [str(component) for component in question.model.components]))
    told = found.reason if found.reason.startswith(found.verdict) else f"{found.verdict}: {found.reason}"
    rows += [("claim", found.claim.text), ("verdict", told)]
    if found.difference is not None:
        text = PlainText([found.difference])(shown(found.difference))
        rows.append(("ours - claimed", text if len(text) <= _LONGEST else "too long to show (--json prints it)"))
    rows.append(("routes", [f"{route.name}: {route.said}" for route in found.routes]))
    integrals = [] if found.difference is None else [found.difference]
    return Answer(data, [*rows, ("evidence", found.evidence.value)], expressions=integrals)


def _point(example: Counterexample | None) -> dict[str, Any] | None:
    if example is None:
        return None
    sides = {"ours": example.ours, "claimed": example.claimed}
    return {
        "at": {str(s): str(value) for s, value in example.point.items()},
        **{name: side.value for name, side in sides.items()},
        **{f"{name}_error": side.error for name, side in sides.items()},
    }


__all__ = ["check", "verdict_answer"]
