r"""Lemma 6: what leads from the drifts of Prop. 2 to the times of Thm 2.

Claims (arXiv:2506.02651, App. C and E, between Prop. 2 and Thm 2; in our own words, the print is not quoted): near the
start, with s = SIE(g), T = C_s(g), c = 2 c_s L^{-s/2}/(s-1)! and m_vec the L overlaps of the untied network,

    the drift is c T(m_vec, .., m_vec, .) up to higher orders, and d|m_vec|/dt <= c ||T||_op |m_vec|^{s-1};
    on the ray of a maximiser v of <T, v^{(x) s}> equality holds: m_vec = r v stays on it, dr/dt = c ||T||_op r^{s-1};
    for an odeco T = sum_i lambda_i v_i^{(x) s} the coordinates along v_i decouple: da_i/dt = c lambda_i a_i^{s-1};
    dr/dt = alpha r^{s-1} takes (r_0^{2-s} - theta^{2-s})/((s-2) alpha) from r_0 to theta, log(theta/r_0)/alpha at 2;
    the tied network follows dm/dt = c S_s m^{s-1}, S_s = <T, 1^{(x) s}>.
"""

from __future__ import annotations

import numpy as np
import sympy as sp
from scipy.integrate import solve_ivp

from sie_sym.derivation import Claim, Page, all_zero
from sie_sym.evidence import Evidence
from sie_sym.exponents import information_exponent
from sie_sym.functions import He, hermite_polynomial, token
from sie_sym.gain import activation_coefficient
from sie_sym.hermite import Tensor, multi_indices
from sie_sym.model import ACTIVATION_VARIABLE
from sie_sym.target import Target
from sie_sym.tensors.odeco import odeco_decomposition
from sie_sym.tensors.operator_norm import operator_norm
from sie_sym.tensors.symmetric_tensor import contract, contract_all_ones
from sie_sym.untied import tied_loss, untied_loss

PAGE = Page("lemma_6", "Lemma 6, App. C and E", "from the drifts to the times of weak recovery")
EXPECTED = ("proved", "proved", "proved", "proved", "proved", "confirmed numerically")

u = ACTIVATION_VARIABLE
LINK = sp.Add(*(hermite_polynomial(k, u) for k in range(1, 5)))


def derive() -> list[Claim]:
    """The leading drift, its bound, its ray, the odeco case, the times."""
    return [_leading(), _bound(), _ray(), _times(), _odeco(), _integrated()]


def _general(order: int, tokens: int) -> tuple[Target, Tensor]:
    """A target with a symbolic tensor of one order, g = sum_beta T_beta He_beta/beta!."""
    tensor: Tensor = {}
    terms = []
    for beta in multi_indices(range(1, tokens + 1), order):
        entry = sp.Symbol("T" + "_".join(f"{l}{n}" for l, n in beta), real=True)
        tensor[beta] = entry
        terms.append(entry * sp.Mul(*(He(n, token(l)).expand(func=True) / sp.factorial(n) for l, n in beta)))
    return Target.of(sp.expand(sp.Add(*terms)), tokens), tensor


def _constant(order: int, tokens: int) -> sp.Expr:
    """c = 2 c_s L^{-s/2}/(s-1)!."""
    return 2 * activation_coefficient(LINK, order) * sp.sqrt(tokens) ** -order / sp.factorial(order - 1)


def _leading() -> Claim:
    differences = []
    x = sp.Symbol("x", real=True)
    for order, tokens in ((1, 3), (2, 3), (3, 2), (4, 2)):
        target, tensor = _general(order, tokens)
        untied, tied = untied_loss(target, LINK), tied_loss(target, LINK)
        overlaps, (m,) = untied.statistics, tied.statistics
        form = contract(tensor, dict(enumerate(overlaps, 1)))
        for l, drift in enumerate(untied.drift()):
            lowest = sp.expand(drift.subs({m_l: x * m_l for m_l in overlaps}, simultaneous=True)).coeff(x, order - 1)
            # T(m_vec, .., m_vec, .)_l is the derivative of the form in m_l over s.
            expected = _constant(order, tokens) * sp.diff(form, overlaps[l]) / order
            differences.append(sp.expand(lowest - expected))
        lowest = sp.expand(tied.drift()[0]).coeff(m, order - 1)
        differences.append(sp.expand(lowest - _constant(order, tokens) * contract_all_ones(tensor)))
    return PAGE.claim(
        "the drifts near the start: c T(m_vec, .., m_vec, .) (untied), c S_s m^{s-1} (tied), c = 2 c_s L^{-s/2}/(s-1)!",
        all_zero(differences),
        "the package's drifts for every target of one order, (s, L) = (1, 3), (2, 3), (3, 2), (4, 2), symbolic tensors",
        source="Prop. 2",
    )


def _bound() -> Claim:
    # |m| d|m|/dt = <m, dm/dt> = c <T, m^{(x) s}> = c |m|^s <T, (m/|m|)^{(x) s}> <= c ||T||_op |m|^s.
    r, differences = sp.Symbol("r", positive=True), []
    for order, tokens in ((1, 3), (2, 3), (3, 3), (4, 2)):
        _, tensor = _general(order, tokens)
        v = sp.symbols(f"v1:{tokens + 1}", real=True)
        form = contract(tensor, dict(enumerate(v, 1)))
        euler = sp.Add(*(x * sp.diff(form, x) for x in v)) - order * form
        scaled = form.subs({x: r * x for x in v}, simultaneous=True)
        differences += [sp.expand(euler), sp.expand(scaled - r**order * form)]
    return PAGE.claim(
        "d|m_vec|/dt <= c ||T||_op |m_vec|^{s-1}: no untied start is faster than the leading direction",
        all_zero(differences),
        "<m, T(m, .., m, .)> = <T, m^{(x) s}> = |m|^s <T, v^{(x) s}> and the definition of the norm, for every s; "
        "Euler's relation and homogeneity for symbolic tensors of orders 1 to 4",
        source="App. E",
    )


def _ray() -> Claim:
    # At a maximiser of <T, v^{(x) s}> on the sphere the gradient s T(v, .., v, .) is s lambda v: the ray is invariant.
    third, differences = 1 / sp.sqrt(3), []
    cases: list[tuple[sp.Expr, tuple[sp.Expr, ...], sp.Expr]] = [
        (sp.Mul(*(He(1, token(l)) for l in (1, 2, 3))), (third, third, third), 6 / sp.sqrt(27)),
        (He(1, token(1)) * He(2, token(2)), (third, sp.sqrt(2) * third), 4 / sp.sqrt(3)),
        (He(3, token(1)) + 2 * He(3, token(2)), (sp.Integer(0), sp.Integer(1)), sp.Integer(12)),
    ]
    for link, maximiser, expected in cases:
        (tensor,) = information_exponent(Target.of(sp.expand(link.expand(func=True)))).leading_tensors()
        v = sp.symbols(f"v1:{len(maximiser) + 1}", real=True)
        form, at = contract(tensor, dict(enumerate(v, 1))), dict(zip(v, maximiser, strict=True))
        differences.append(sp.expand(operator_norm(tensor).value - expected))
        differences += [sp.expand(sp.diff(form, x).subs(at) / 3 - expected * at[x]) for x in v]
    return PAGE.claim(
        "m_vec = r v with v a maximiser of <T, v^{(x) s}> stays on its ray, with dr/dt = c ||T||_op r^{s-1}",
        all_zero(differences),
        "Lagrange, for every s: T(v, .., v, .) = ||T||_op v at a maximiser on the sphere; the package's norms of "
        "z1 z2 z3, z1 He_2(z2) and He_3 + 2 He_3 against the maxima by hand, and that equation there",
        source="App. E",
    )


def _times() -> Claim:
    r, r0, theta, alpha, s = sp.symbols("r r0 theta alpha s", positive=True)
    time = (r0 ** (2 - s) - r ** (2 - s)) / ((s - 2) * alpha)
    slope = sp.powsimp(sp.expand(sp.diff(time, r) * alpha * r ** (s - 1)))
    logarithm = sp.limit(time.subs(r, theta), s, 2) - sp.log(theta / r0) / alpha
    # Monotone in alpha at equal ends: the ratio of two times is the inverse ratio of their rates.
    other = sp.Symbol("beta", positive=True)
    ratio = sp.cancel(time / time.subs(alpha, other)) - other / alpha
    return PAGE.claim(
        "dr/dt = alpha r^{s-1} takes (r_0^{2-s} - theta^{2-s})/((s-2) alpha); s = 2 is its limit log(theta/r_0)/alpha",
        all_zero([slope - 1, sp.expand_log(logarithm, force=True), ratio]),
        "the derivative of the time in r, symbolic s; the limit s -> 2",
        source="App. C",
        formulas={"t": time.subs(r, theta)},
    )


def _odeco() -> Claim:
    # T = lambda_1 v_1^{(x) s} + lambda_2 v_2^{(x) s} in a rotated frame: <v_i, T(m, .., m, .)> = lambda_i a_i^{s-1}.
    p, q = sp.Rational(3, 5), sp.Rational(4, 5)
    weights = sp.symbols("lambda1 lambda2", real=True)
    frame = ((p, q), (-q, p))
    a = sp.symbols("a1 a2", real=True)
    m = sp.symbols("m1 m2", real=True)
    at = {m[l]: sp.Add(*(a[i] * frame[i][l] for i in range(2))) for l in range(2)}
    differences, recovered = [], []
    for order in (1, 2, 3, 4):
        form = sp.Add(*(w * sp.Add(*(f * x for f, x in zip(v, m, strict=True))) ** order
                        for w, v in zip(weights, frame, strict=True)))  # fmt: skip
        slopes = [sp.diff(form, x).subs(at) / order for x in m]
        for i, v in enumerate(frame):
            along = sp.Add(*(f * slope for f, slope in zip(v, slopes, strict=True)))
            differences.append(sp.expand(along - weights[i] * a[i] ** (order - 1)))
        if order > 2:
            numbers = dict(zip(weights, (5, -2), strict=True))
            tensor = {
                beta: sp.expand(form.subs(numbers)).coeff(m[0], dict(beta).get(1, 0)).coeff(m[1], dict(beta).get(2, 0))
                / _multinomial(beta) for beta in multi_indices((1, 2), order)
            }  # fmt: skip
            found = odeco_decomposition(tensor)
            recovered.append(sorted(abs(w) for w in found.weights) == [2, 5])
    return PAGE.claim(
        "for an odeco tensor the coordinates along its vectors decouple: da_i/dt = c lambda_i a_i^{s-1}; the first to "
        "arrive has the largest lambda_i a_i(0)^{s-2}",
        bool(all_zero(differences)) and all(recovered),
        "symbolic weights in a rotated rational frame of two tokens, s = 1..4; the package's decomposition finds them",
        source="App. E",
    )


def _multinomial(beta: tuple[tuple[int, int], ...]) -> int:
    total = sum(n for _, n in beta)
    return int(sp.factorial(total) / sp.prod(sp.factorial(n) for _, n in beta))


def _integrated() -> Claim:
    # The leading flow of C_3(z1 z2 z3) from many starts never beats the bound, and meets it on the leading ray.
    norm, theta, start = float(6 / np.sqrt(27)), 1e-2, 1e-3
    bound = (1 / start - 1 / theta) / norm
    generator = np.random.default_rng(6)
    directions = [np.ones(3) / np.sqrt(3), *generator.standard_normal((20, 3))]
    times = []
    for v in directions:
        m0 = start * v / np.linalg.norm(v)

        def arrived(_: float, m: np.ndarray) -> float:
            return float(np.linalg.norm(m) - theta)

        arrived.terminal = True  # type: ignore[attr-defined]
        run = solve_ivp(
            lambda _, m: 2 * np.array([m[1] * m[2], m[0] * m[2], m[0] * m[1]]),
            (0, 50 * bound), m0, events=arrived, rtol=1e-10, atol=1e-16,
        )  # fmt: skip
        (events,) = run.t_events or [np.empty(0)]
        times.append(float(events[0]) if len(events) else np.inf)
    met = abs(times[0] / bound - 1)
    return PAGE.claim(
        "no start |m_vec| = r_0 arrives before (r_0^{2-s} - theta^{2-s})/((s-2) c ||T||_op); the leading ray does then",
        met < 1e-6 and all(time > bound * (1 - 1e-6) for time in times),
        f"the flow of T = C_3(z1 z2 z3), c = 1, from 21 directions: the leading ray meets the bound within {met:.0e}, "
        f"the others need {min(times[1:]) / bound:.2f} times it or more",
        source="App. E",
        evidence=Evidence.NUMERICAL,
    )
