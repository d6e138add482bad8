r"""Thm 2 and App. E: how much faster tied networks learn than untied ones, and where they never do.

Claims (arXiv:2506.02651, Thm 2, App. E): near the start dm/dt = alpha m^{s-1}, s = SIE(g), with alpha proportional to
S_s = <C_s, 1^{(x) s}> (tied) and to ||C_s||_op (untied); at equal rates the times differ by
rho = S_s/||C_s||_op (times sqrt L if s = 1), at the largest admissible rates the steps by rho^2;
0 <= gain <= L^{max(s, 2)}.
"""

from __future__ import annotations

import sympy as sp

from sie_sym.derivation import Claim, Page, all_zero
from sie_sym.evidence import Evidence
from sie_sym.functions import He, relu, token
from sie_sym.gain import Gain, gain
from sie_sym.model import ACTIVATION_VARIABLE
from sie_sym.paper_targets import named_target
from sie_sym.recovery import recovery_times
from sie_sym.target import Target
from sie_sym.tensors.odeco import is_odeco

PAGE = Page("theorem_2_gain", "Thm 2, App. E", "the gain of tied over untied networks")
EXPECTED = ("proved", "proved", "proved", "proved", "proved", "confirmed numerically")

u = ACTIVATION_VARIABLE


def derive() -> list[Claim]:
    """The ratio of times, the two families of the figures, the bounds, the pathologies, and the flows."""
    return [_ratio(), _squares(), _sums(), _bounds(), _pathologies(), _flows()]


def _ratio() -> Claim:
    # T(alpha) = int dm / (alpha m^{s-1}) from m_0 to theta scales as 1/alpha; the factor common to both alphas cancels.
    m, m0, s = sp.symbols("m m0 s", positive=True)
    theta, S, norm, L, c = sp.symbols("theta S N L c", positive=True)
    primitive = m ** (2 - s) / (2 - s)
    common = 2 * c * L ** (-s / 2) / sp.gamma(s)
    times = [(primitive.subs(m, theta) - primitive.subs(m, m0)) / (common * size) for size in (S, norm)]
    slope = sp.powsimp(sp.expand(sp.diff(primitive, m) * m ** (s - 1)))
    ends = (theta, S), (theta * sp.sqrt(L), norm)
    tied, untied = ((threshold - m0) / (common.subs(s, 1) * size) for threshold, size in ends)
    at_zero = sp.cancel((untied / tied).subs(m0, 0))
    return PAGE.claim(
        "at equal rates t_untied/t_tied = S_s/||C_s||_op from equal m_0, and sqrt(L) times it for s = 1 as m_0 -> 0; "
        "L^{-s/2}, k! and the activation cancel",
        all_zero(
            [
                slope - 1,
                m * sp.diff(sp.log(m), m) - 1,
                sp.cancel(times[1] / times[0]) - S / norm,
                at_zero - sp.sqrt(L) * S / norm,
            ]
        ),
        "dm/dt = alpha m^{s-1} integrated for symbolic s (the logarithm at s = 2), with "
        "the threshold |m_vec| >= eta sqrt(L) of the untied network",
        formulas={"t_tied": times[0]},
    )


def _summed(h: sp.Expr, tokens: int) -> Target:
    return Target.of(sp.Add(*(h.subs(token(1), token(l)) for l in range(1, tokens + 1))), tokens)


def _gain_is(found: Gain, equal: int, optimal: int) -> bool:
    return (
        found.gain_equal_rate is not None
        and found.gain_optimal_rate is not None
        and found.gain_equal_rate.value == equal
        and found.gain_optimal_rate.value == optimal
    )


def _squares() -> Claim:
    found = {L: gain(_summed(He(2, token(1)), L), relu(u)) for L in (1, 2, 3, 7, 10, 50)}
    # By hand: C_2 = 2 I has S_2 = 2 L and norm 2.
    by_hand = all(f.contraction == 2 * L and f.operator_norm.value == 2 for L, f in found.items())
    return PAGE.claim(
        "g = sum_l He_2(z_l): gain L at equal rates, L^2 at the largest",
        by_hand and all(_gain_is(f, L, L**2) and f.odeco is True for L, f in found.items()),
        "C_2 = 2 I: S_2 = 2L, ||C_2||_op = 2; L = 1..10 and 50",
        source="Figs. 3 and 7",
    )


def _sums() -> Claim:
    found = {L: gain(named_target("mean", L), relu(u)) for L in (1, 2, 3, 7, 10, 50)}
    norms = all_zero([f.contraction - sp.sqrt(L) for L, f in found.items()])
    return PAGE.claim(
        "g = sum_l z_l / sqrt L: gain L at equal rates, L^2 at the largest",
        bool(norms) and all(_gain_is(f, L, L**2) for L, f in found.items()),
        "C_1 = (1, .., 1)/sqrt L: S_1 = sqrt L, norm 1, and the factor sqrt L of s = 1",
        source="Figs. 8 and 9",
    )


def _bounds() -> Claim:
    # |<C, 1^s>| = L^{s/2} |<C, v^s>| at v = 1/sqrt L, so rho <= L^{s/2} (L for s = 1), attained by a power of the sum.
    L, s = sp.symbols("L s", positive=True)
    attained = []
    for order, tokens in ((1, 3), (2, 3), (3, 2), (4, 2)):
        total = sp.Add(*(token(l) for l in range(1, tokens + 1))) / sp.sqrt(tokens)
        found = gain(Target.of(He(order, total).expand(func=True)), sp.Add(He(order, u).expand(func=True), u))
        attained.append(
            found.gain_optimal_rate is not None and found.gain_optimal_rate.value == tokens ** max(order, 2)
        )
        attained.append(found.largest_possible == tokens ** max(order, 2))
    return PAGE.claim(
        "0 <= gain <= L^{max(s, 2)}, attained by He_s(sum_l z_l / sqrt L)",
        bool(all_zero([sp.powsimp((L ** (s / 2)) ** 2 - L**s)])) and all(attained),
        "|S_s| = L^{s/2} |<C_s, v^{(x) s}>| at v = 1/sqrt(L); s = 1..4 attain it in exact numbers",
    )


def _pathologies() -> Claim:
    found = [gain(named_target(name), relu(u)) for name in ("difference", "square-difference")]
    odeco = is_odeco({((1, 3),): sp.Integer(6), ((2, 3),): sp.Integer(1)})
    mixed = is_odeco({((1, 1), (2, 1), (3, 1)): sp.Integer(1)})
    return PAGE.claim(
        "g = z1 - z2 and z1^2 - z2^2: S_s = 0, the tied network never learns, the untied one does: gain 0",
        all(
            f.contraction == 0 and f.tied_escapes is False and f.untied_escapes is True and _gain_is(f, 0, 0)
            for f in found
        )
        and odeco is True
        and mixed is False,
        "exact tensors; the odeco test accepts separable tensors (Lemma 4) and rejects z1 z2 z3",
        source="App. E.4, Fig. 11; Lemma 4",
    )


def _flows() -> Claim:
    ratios = {}
    for tokens in (2, 5):
        ratios["He_2", tokens] = recovery_times(_summed(He(2, token(1)), tokens), u**2, start="all").time_ratio / tokens
        ratios["z", tokens] = (
            recovery_times(named_target("mean", tokens), u, start="all", overlap=1e-6).time_ratio / tokens
        )
    worst = max(abs(ratio - 1) for ratio in ratios.values())
    return PAGE.claim(
        "the flows of Prop. 2 take L times longer untied than tied for sum He_2 and for sum z / sqrt L",
        worst < 1e-2,
        f"the drifts integrated from m_0 to eta = 0.1, L = 2 and 5; largest deviation {worst:.0e}",
        source="Figs. 7 and 8",
        evidence=Evidence.NUMERICAL,
    )
