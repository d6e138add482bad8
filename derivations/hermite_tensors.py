r"""Lemmas 2 to 4: the Hermite tensors of sequences: symmetry, inner products, correlated fields, separable links.

Claims (arXiv:2506.02651, Lemmas 2 to 4 and what eq. 9 needs of them, in our own words and normalisation): with
(C_k)_{i1..ik} = C_{alpha(i1..ik)} and C_alpha(h) = E[h(Z) He_alpha(Z)],

    C_k is symmetric, with k!/beta! equal entries for each |beta| = k, so that
    <C_k, C'_k>/k! = sum_{|beta| = k} C_beta C'_beta/beta!  and  <C_k, v^{(x) k}> = sum k!/beta! C_beta v^beta;
    E He_j(x) He_k(y) = [j = k] rho^k k! for normal (x, y) of correlation rho (Mehler);
    C_k(h o Q) is C_k(h) rotated by an orthogonal Q;
    a separable g = sum_l h_l(z_l) has C_k = sum_l c_k(h_l) e_l^{(x) k} for k >= 1: orthogonally decomposable (Lemma 4),
    with ||C_k||_op = max_l |c_k(h_l)| for k >= 2 and the Euclidean norm for k = 1.

The orders k, and L where it occurs, are symbols wherever the argument is a generating function; what rests on a list of
cases says which.
"""

from __future__ import annotations

import itertools

import sympy as sp

from derivations.closed_form_loss import polynomial
from sie_sym.derivation import Claim, Page, all_zero, gaussian_mean
from sie_sym.expansion import HermiteExpansion
from sie_sym.functions import He, hermite_polynomial, token
from sie_sym.hermite import Tensor, factorial, inner_product, multi_indices
from sie_sym.tensors.odeco import is_odeco
from sie_sym.tensors.operator_norm import operator_norm
from sie_sym.tensors.symmetric_tensor import contract
from sie_sym.weierstrass import weierstrass_transform

PAGE = Page("hermite_tensors", "Lemmas 2-4", "symmetric tensors, correlated fields and separable links")
EXPECTED = ("proved",) * 6

s, t, rho = sp.symbols("s t rho", real=True)
k = sp.Symbol("k", integer=True, nonnegative=True)


def derive() -> list[Claim]:
    """Counting, Mehler, rotations, and separable links."""
    return [_counting(), _entries(), _mehler(), _rotations(), _separable(), _norms()]


def _counting() -> Claim:
    # k! sum_{|beta| = k} v^beta/beta! is the k-th Taylor coefficient of prod_l e^{x v_l}: (v_1 + .. + v_L)^k.
    x, total = sp.symbols("x S", real=True)
    one = sp.summation((x * total) ** k / sp.factorial(k), (k, 0, sp.oo)) - sp.exp(x * total)
    counted = all(
        sum(1 for indices in itertools.product(range(1, tokens + 1), repeat=order) if _index(indices) == beta)
        == sp.factorial(order) / factorial(beta)
        for tokens, order in ((1, 4), (2, 4), (3, 3), (3, 4))
        for beta in multi_indices(range(1, tokens + 1), order)
    )
    return PAGE.claim(
        "k!/beta! of the L^k index tuples have the multi-index beta: (sum_l v_l)^k = sum_{|beta| = k} k!/beta! v^beta",
        bool(all_zero([one])) and counted,
        "prod_l e^{x v_l} = e^{x S} at symbolic order k; the tuples counted one by one for (L, k) = (1, 4), (2, 4), "
        "(3, 3), (3, 4)",
        source="Lemma 2",
    )


def _index(indices: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    return tuple((l, indices.count(l)) for l in sorted(set(indices)))


def _entries() -> Claim:
    z = token(1), token(2)
    g, phi = polynomial("p", z, 3), polynomial("q", z, 3)
    sides = [HermiteExpansion.of((h,), 2) for h in (g, phi)]
    v = sp.symbols("v1 v2", real=True)
    differences = []
    for order in range(1, 4):
        full = []
        for h in (g, phi):
            rows = {}
            for indices in itertools.product((1, 2), repeat=order):
                weight = sp.prod(hermite_polynomial(indices.count(l), z[l - 1]) for l in (1, 2))
                rows[indices] = gaussian_mean(sp.expand(h * weight), z)
            full.append(rows)
        tensors = [side.tensors(order)[0] for side in sides]
        written_out = sp.Add(*(full[0][i] * full[1][i] for i in full[0])) / sp.factorial(order)
        differences.append(sp.expand(inner_product(*tensors) - written_out))
        form = sp.Add(*(entry * sp.prod(v[i - 1] for i in indices) for indices, entry in full[0].items()))
        differences.append(sp.expand(contract(tensors[0], dict(enumerate(v, 1))) - form))
    return PAGE.claim(
        "<C_k, C'_k>/k! = sum_{|beta| = k} C_beta C'_beta/beta! and <C_k, v^{(x) k}> = sum k!/beta! C_beta v^beta",
        all_zero(differences),
        "the package's sparse tensors against all 2^k entries E[h He_alpha] from the moments (k-1)!!, k = 1, 2, 3: "
        "every pair of cubic functions of two tokens, symbolic coefficients and v",
        source="Thm 3, Lemma 2",
    )


def _mehler() -> Claim:
    # y = rho x + sqrt(1 - rho^2) h: E F(x, s) F(y, t), F(x, s) = e^{sx - s^2/2} = sum_k He_k(x) s^k/k!
    root = sp.sqrt(1 - rho**2)
    exponent = s * token(1) + t * (rho * token(1) + root * token(2))
    mean = weierstrass_transform(sp.exp(sp.expand(exponent))).expression({}) * sp.exp(-(s**2 + t**2) / 2)
    product = sp.powsimp(sp.expand_power_exp(mean), force=True)
    logarithm = sp.expand(sp.expand_log(sp.log(product), force=True)) - rho * s * t
    series = sp.summation((rho * s * t) ** k / sp.factorial(k), (k, 0, sp.oo)) - sp.exp(rho * s * t)
    x, h = sp.symbols("x h", real=True)
    y, r = rho * x, sp.Symbol("r", real=True)
    cases = []
    for i, j in itertools.product(range(6), repeat=2):
        found = gaussian_mean(sp.expand(hermite_polynomial(i, x) * hermite_polynomial(j, y + r * h)), (x, h))
        cases.append(sp.rem(found, r**2 + rho**2 - 1, r) - (rho**i * sp.factorial(i) if i == j else 0))
    return PAGE.claim(
        "E He_j(x) He_k(y) = [j = k] rho^k k!",
        all_zero([logarithm, series, *cases]),
        "the generating functions: E e^{sx - s^2/2} e^{ty - t^2/2} = e^{rho s t}, whose s^j t^k/(j! k!) term is "
        "[j = k] rho^k k! at symbolic k; the moments (k-1)!! for j, k <= 5, symbolic rho",
        source="eq. 9",
        formulas={"E F(x, s) F(y, t)": sp.exp(rho * s * t)},
    )


def _rotations() -> Claim:
    # G(h o Q)(t) = E h(Q t + Q Z) = (G h)(Q t): Q Z has the law of Z. So the k-th derivative tensor is rotated.
    a, b = sp.symbols("a b", real=True)
    c, d = sp.symbols("c d", real=True)  # cos, sin
    z = sp.Matrix([token(1), token(2)])
    Q = sp.Matrix([[c, -d], [d, c]])
    rotated = (Q * z).dot(sp.Matrix([a, b]))
    point = sp.Matrix([s, t])
    left = weierstrass_transform(sp.exp(sp.expand(rotated))).expression({1: s, 2: t})
    right = weierstrass_transform(sp.exp(a * token(1) + b * token(2))).expression(dict(enumerate(Q * point, 1)))
    exponents = [sp.expand(sp.expand_log(sp.log(side), force=True)) for side in (left, right)]
    gap = sp.rem(sp.expand(exponents[0] - exponents[1]), c**2 + d**2 - 1, c)
    return PAGE.claim(
        "C_k(h o Q) = C_k(h) with every index rotated, for orthogonal Q and every k",
        all_zero([gap]),
        "(G h o Q)(t) = (G h)(Q t) on exponentials, which generate every order, symbolic rotation of two tokens",
        source="Lemma 2",
    )


def _separable() -> Claim:
    # G g(t) = sum_l G h_l(t_l): a derivative in two different tokens vanishes, in one token it is d^k G h_l.
    a, L = sp.Symbol("a", real=True), sp.Symbol("L", integer=True, positive=True)
    l = sp.Symbol("l", integer=True, positive=True)
    one = weierstrass_transform(sp.exp(a * token(1))).expression({1: t})
    coefficient = a**k * sp.exp(a**2 / 2)  # c_k(exp(a z)): the order-k term of sum_k a^k t^k/k! e^{a^2/2}
    series = sp.summation(coefficient * t**k / sp.factorial(k), (k, 0, sp.oo)) - one
    contraction = sp.summation(coefficient, (l, 1, L)) - L * coefficient
    sides = HermiteExpansion.of((polynomial("p", (token(1),), 4) + polynomial("q", (token(2),), 4),), 2)
    diagonal = all(len(alpha) == 1 for order in range(1, 5) for alpha in sides.tensors(order)[0])
    return PAGE.claim(
        "g = sum_l h_l(z_l): C_k = sum_l c_k(h_l) e_l^{(x) k}, k >= 1; S_k = <C_k, 1^{(x) k}> = L c_k(h) for equal h_l",
        bool(all_zero([series, sp.expand(contraction)])) and diagonal,
        "G g(t) = sum_l G h_l(t_l), so that mixed derivatives vanish, and the exponentials' c_k = a^k e^{a^2/2} at "
        "symbolic k and L; the package's tensors of every separable quartic of two tokens, symbolic coefficients",
        source="Lemma 4",
        formulas={"S_k of sum exp(a z_l)": L * coefficient},
    )


def _norms() -> Claim:
    # |sum lambda_l v_l^k| <= max |lambda| sum |v_l|^k <= max |lambda| sum v_l^2 for |v| = 1, k >= 2; attained at e_l.
    v = sp.Symbol("v", nonnegative=True)
    power = sp.Symbol("n", integer=True, positive=True)  # k = n + 2
    defect = sp.expand_power_exp(v ** (power + 2)) - v**2 * v**power  # v^k <= v^2 as v^n <= 1
    weights = (sp.Integer(3), sp.Integer(-7), sp.Rational(5, 2))
    found = []
    for order in range(1, 6):
        tensor: Tensor = {((l, order),): weight for l, weight in enumerate(weights, 1)}
        expected = sp.Integer(7) if order > 1 else sp.sqrt(sum(weight**2 for weight in weights))
        found.append(is_odeco(tensor) is True and sp.expand(operator_norm(tensor).value - expected) == 0)
    mixed = HermiteExpansion.of((He(1, token(1)) * He(1, token(2)) * He(1, token(3)),), 3).tensors(3)[0]
    return PAGE.claim(
        "a separable tensor is orthogonally decomposable, ||C_k||_op = max_l |c_k(h_l)| for k >= 2, |c_1| for k = 1; "
        "z1 z2 z3 is not decomposable",
        bool(all_zero([defect])) and all(found) and is_odeco(mixed) is False,
        "|sum lambda_l v_l^k| <= max |lambda| sum v_l^2, attained at a coordinate vector, symbolic k; Cauchy-Schwarz "
        "for k = 1; the package's test and norm for k = 1..5",
        source="Lemma 4",
    )
