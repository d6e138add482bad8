"""Hessian, omega_c and phase diagram of the positional-semantic model against 4-dimensional quadrature.

The peer knows the loss at single points alone (`loss_grid.GaussHermite`, App. G.1).  From it: the Hessian at the start
by central differences of step 3e-3 (9 points); omega_c by halving an interval of omega to 1e-6 from H_mm - H_ee (20
halvings of 5 points); the phase at one (a, omega) by the Hessian and, at each of the two corners, the radial slope, the
curvature across and the value (9 + 2 * 5 points).  Below a = 0.8 a positional minimum may sit elsewhere on the rim, for
which these do not look.  One pixel costs the peer the same as any other: a few are timed and extrapolated.

Errors of the diagram: its four boundaries at several a, from converged integrals (a polar grid, the derivatives of S by
hand), and the labels of all pixels, from those boundaries and from R on a fine rim of another table.  What the peer
finds at a pixel is affine in (1-omega, omega sigmoid(2 a^2)), as R is: its boundaries and labels need no more than
three targets, and are checked at the pixels that are timed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.comparison import Row, Section, best, deviation
from benchmarks.loss_grid import OMEGA, PAPER, RULES, SIDE, TUNED, GaussHermite, TunedGaussHermite
from sie_sym.losses.loss_family import positional_semantic_family
from sie_sym.phase_diagram import phase_boundaries, phase_labels, positional_semantic_landscape

Array = np.ndarray[Any, np.dtype[np.float64]]
Loss = GaussHermite | TunedGaussHermite
Rule = Callable[[float, float], Loss]
STEP, HALVINGS = 3e-3, 20
CRITICAL = 0.6409626179
"""omega_c at a = 1, known before this project to its last digit."""
SCALES = (0.7, 0.76, 0.8, 0.85, 0.9, 0.95, 1.0)
LOW = 0.4
BOUNDARIES = ("dynamics", "semantic_minimum", "positional_minimum", "global_minimum")


def weight(a: Any) -> Any:
    """p, the diagonal of the positional part."""
    return 1 / (1 + np.exp(-2 * np.asarray(a) ** 2))


def converged() -> Array:
    """R_mm, R_ee at the start, then the four quantities whose signs change, as forms of (1, 1-omega, omega p): (6, 3).

    With S = S_11 and T = S(. + c), R/4 = E|T|^2 - 2 E t T (its rows are alike): theory of App. F, in polar coordinates.
    """
    nodes, weights = np.polynomial.legendre.leggauss(360)
    r, angle = 5 * (nodes + 1), 2 * np.pi * np.arange(720) / 720
    x, y = np.multiply.outer(r, np.cos(angle)), np.multiply.outer(r, np.sin(angle))
    mass = (5 * weights * r * np.exp(-r * r / 2) / 720)[:, None]
    v = x - y

    def mean(values: Array) -> float:
        return float((mass * values).sum())

    S, T = 1 / (1 + np.exp(-x * v)), 1 / (1 + np.exp(-(x + 1) * (v + 2)))
    first = S * (1 - S)
    twice = first * ((1 - 2 * S) * (x + v + x) ** 2 + 4)  # (c.grad)^2 S
    gradient = mean(first**2 * ((x + v) ** 2 + x**2))
    f0, f1, f1_slope, f_bend = mean(S), mean(T), mean(T * v), mean(S * (v * v - 2))
    n_bend, n1_slope = mean(S**2 * (v * v - 2)), mean(T**2 * v)
    second = [(mean(S * h), mean(T * h), k) for h, k in ((x * x - 1, 2), (y * y - 1, 2), (x * y, 1))]
    k0, k1 = (sum(s * other / k for s, other, k in rows) for rows in ([(s, s, k) for s, _, k in second], second))
    mm, ee = np.array([0, -4 * k0, 0]), np.array([n_bend, -2 * f0 * f_bend, -2 * f_bend])
    semantic = np.array([n_bend, -2 * mean(S * twice) + 2 * gradient, -2 * f_bend])
    positional = np.array([-n1_slope, -4 * k1 + 2 * f0 * f1_slope, 2 * f1_slope])
    swap = np.array([mean(T**2 - S**2), 2 * mean(S**2) - 2 * f0 * f1, 2 * f0 - 2 * f1])
    return 4 * np.stack([mm, ee, ee - mm, semantic, positional, swap])


def all_weights(a: Array, omegas: Array) -> Array:
    """(1, 1-omega, omega p) of all pixels, (3, len(a), len(omegas))."""
    one = np.ones((len(a), len(omegas)))
    return np.stack([one, one - omegas, np.multiply.outer(weight(a), omegas)])


def roots(forms: Array, a: float) -> Array:
    """Where forms of (1, 1-omega, omega p(a)) vanish."""
    start, end = forms[:, 0] + forms[:, 1], forms[:, 0] + weight(a) * forms[:, 2]
    return np.asarray(start / (start - end))


def converged_labels(forms: Array, a: Array, omegas: Array) -> tuple[Array, Array]:
    """The labels, and where the positional minimum has left its corner: R at 40,000 points of the rim tells it."""
    start, semantic, corner, lead = np.tensordot(forms[2:], all_weights(a, omegas), axes=1) > 0
    family = positional_semantic_family(120)
    t = np.linspace(0, 1, 40_000)
    m, eps = np.sqrt(t), np.sqrt(1 - t)
    targets = np.eye(4, 3, -1)  # 0, then each target alone
    first, *others = (family.at(target).value(m, eps) - family.at(target).target_norm2 for target in targets)
    displaced = np.zeros_like(corner)
    for i, j in np.argwhere(~corner & (a[:, None] < 0.8) & (omegas > 0.9)):
        p, omega = weight(a[i]), omegas[j]
        # R is linear in the target but for its square
        target = 1 - omega, omega * (2 * p - 1), omega * (1 - p)
        values = first + sum(w * (other - first) for w, other in zip(target, others, strict=True))
        inner = np.flatnonzero((values[1:-1] < values[:-2]) & (values[1:-1] < values[2:])) + 1
        displaced[i, j] = inner.size > 0
        if inner.size:
            lead[i, j] = values[-1] < values[inner].min()
    return named(semantic, corner | displaced, lead, start), displaced


def named(semantic: Array, positional: Array, lower: Array, escapes: Array) -> Array:
    """The places in `REGIONS`."""
    choices = [positional & ~semantic, positional & ~lower, positional & ~escapes, ~escapes, positional]
    return np.select(choices, list(range(5)), default=5)


def hessian_by_rule(rule: Loss) -> Array:
    h, R = STEP, rule.value
    middle = 2 * R(0, 0)
    mixed = (R(h, h) - R(h, -h) - R(-h, h) + R(-h, -h)) / (4 * h * h)
    mm, ee = (R(h, 0) + R(-h, 0) - middle) / h**2, (R(0, h) + R(0, -h) - middle) / h**2
    return np.array([[mm, mixed], [mixed, ee]])


def hessian(omega: float, a: float) -> Array:
    found = positional_semantic_landscape(a)
    mm, me, ee = (float(q.at(omega)) for q in (found.hessian_mm, found.hessian_me, found.hessian_ee))
    return np.array([[mm, me], [me, ee]])


def boundary_by_rule(rule: Rule) -> float:
    """omega_c by halving: semantic below, positional above."""
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        omega, h = (low + high) / 2, STEP
        R = rule(omega, 1.0).value
        middle = 2 * R(0, 0)
        semantic = R(h, 0) + R(-h, 0) - middle < R(0, h) + R(0, -h) - middle
        low, high = (omega, high) if semantic else (low, omega)
    return (low + high) / 2


def boundary_from_ends(rule: Rule) -> float:
    """omega_c by one who knows that H_mm - H_ee is affine in omega."""
    h, ends = STEP, []
    for omega in (0.0, 1.0):
        R = rule(omega, 1.0).value
        ends.append(R(0, h) + R(0, -h) - R(h, 0) - R(-h, 0))
    return ends[0] / (ends[0] - ends[1])


def quantities_by_rule(rule: Loss) -> Array:
    """H_ee - H_mm; R_m and R_ee - R_m at (0, 1); R_e and R_mm - R_e at (1, 0); R(1, 0) - R(0, 1)."""
    h, R = STEP, rule.value
    curvature = hessian_by_rule(rule)
    # R is not defined beyond m = 1
    slope = (3 * R(1, 0) - 4 * R(1 - h, 0) + R(1 - 2 * h, 0)) / (2 * h)
    across = (R(1, h) + R(1, -h) - 2 * R(1, 0)) / h**2
    outward = (R(0, 1 + h) - R(0, 1 - h)) / (2 * h)
    aside = (R(h, 1) + R(-h, 1) - 2 * R(0, 1)) / h**2
    lead = R(0, 1) - R(1, 0)
    return np.array([curvature[1, 1] - curvature[0, 0], slope, across - slope, outward, aside - outward, lead])


def labels_by_rule(quantities: Array) -> Array:
    start, slope, across, outward, aside, lead = quantities
    return named((slope <= 0) & (across > 0), (outward <= 0) & (aside > 0), lead > 0, start > 0)


def forms_by_rule(rule: Rule) -> Array:
    """Its quantities as forms of (1, 1-omega, omega p), from three targets: shape (6, 3)."""
    targets = [(0.0, 1.0), (1.0, SCALES[0]), (1.0, SCALES[-1])]
    matrix = np.array([[1, 1 - omega, omega * weight(a)] for omega, a in targets])
    return np.asarray(np.linalg.solve(matrix, [quantities_by_rule(rule(omega, a)) for omega, a in targets]).T)


def largest_errors(found: Callable[[float], Array], exact: Array) -> Array:
    """Those of the four boundaries over the `SCALES` at which the picture shows them."""
    known = {a: roots(exact[2:], a) for a in SCALES}
    return np.max([np.where((r > LOW) & (r < 1), np.abs(found(a) - r), 0.0) for a, r in known.items()], axis=0)


def caches() -> list[Any]:
    """Every table that the package keeps."""
    modules = [module for name, module in list(sys.modules.items()) if name.startswith("sie_sym")]
    found = {id(value): value for module in modules for value in vars(module).values() if hasattr(value, "cache_clear")}
    return list(found.values())


def section(quick: bool) -> Section:
    side = 20 if quick else SIDE
    a_grid, omegas = np.linspace(0.7, 1, side), np.linspace(LOW, 1, side)
    pixels = [(1.0, 0.45), (0.85, 0.67), (0.76, 0.95)][: 1 if quick else 3]
    rules: dict[str, Rule] = {TUNED: RULES[TUNED]} if quick else dict(RULES)

    def diagram(search: bool) -> Any:
        return phase_labels(a_grid, omegas, search=search)

    diagram(True)
    kept = caches()

    def after_reset(action: Callable[[], Any]) -> Any:
        for table in kept:
            table.cache_clear()
        return action()

    tasks: dict[str, Callable[[], Any]] = {
        "Hessian": lambda: hessian(OMEGA, 1.0),
        "omega_c": lambda: phase_boundaries(1.0),
        "diagram": lambda: diagram(False),
        "searched": lambda: diagram(True),
    }
    tasks |= {f"{name}, cold": lambda task=task: after_reset(task) for name, task in tasks.items()}  # type: ignore[misc]
    for name, rule in rules.items():
        tasks |= {
            f"Hessian, {name}": lambda rule=rule: hessian_by_rule(rule(OMEGA, 1.0)),  # type: ignore[misc]
            f"omega_c, {name}": lambda rule=rule: boundary_by_rule(rule),  # type: ignore[misc]
            f"ends, {name}": lambda rule=rule: boundary_from_ends(rule),  # type: ignore[misc]
            f"diagram, {name}": lambda rule=rule: [  # type: ignore[misc]
                int(labels_by_rule(quantities_by_rule(rule(omega, a)))) for a, omega in pixels
            ],
        }
    found = best(tasks, 1 if quick else 5)

    exact = converged()
    critical = float(roots(exact[2:3], 1.0)[0])
    if abs(critical - CRITICAL) > 5.1e-11:
        raise AssertionError(f"omega_c(1) is {CRITICAL}, not {critical}")
    point = np.array([1, 1 - OMEGA, OMEGA * weight(1.0)])
    curvatures = np.diag(exact[:2] @ point)
    labels, displaced = converged_labels(exact, a_grid, omegas)
    our_boundaries = largest_errors(
        lambda a: np.array([float(getattr(phase_boundaries(a), name)) for name in BOUNDARIES]), exact
    )
    picture = found["searched"].value
    wrong = max(int((found[task].value.labels != labels).sum()) for task in ("diagram", "searched"))
    remarks = [
        f"Largest errors of the boundaries ({', '.join(BOUNDARIES).replace('_', ' ')}), and wrong labels of "
        f"{side**2:,}: ours {listed(our_boundaries)}, {wrong} labels, and the search confirms "
        f"{int(picture.confirmed.sum()):,}."
    ]
    errors = deviation(found["Hessian"].value, curvatures), deviation(found["omega_c"].value.dynamics, critical)
    rows = []
    for name, rule in rules.items():
        theirs = forms_by_rule(rule)
        their_boundaries = largest_errors(lambda a, forms=theirs[[0, 2, 4, 5]]: roots(forms, a), exact)  # type: ignore[misc]
        their_labels = labels_by_rule(np.tensordot(theirs, all_weights(a_grid, omegas), axes=1))
        timed = found[f"diagram, {name}"].value
        check_forms(name, [quantities_by_rule(rule(omega, a)) for a, omega in pixels], timed, theirs, pixels)
        astray = their_labels != labels
        remarks.append(
            f"{name}: {listed(their_boundaries)}, {int(astray.sum()):,} labels, {int((astray & displaced).sum())} of "
            f"them where a minimum is away from the corners ({int(displaced.sum())} pixels)."
        )
        both = float(our_boundaries.max()), float(their_boundaries.max())
        rows += compare(name, found, side, len(pixels), critical, curvatures, errors, both)
    return Section(
        "Hessian, omega_c and phase diagram",
        "The positional-semantic model again. The quadrature knows R at single points alone: Hessian from 9 points, "
        f"omega_c from {HALVINGS} halvings (or, knowing that H_mm - H_ee is affine in omega, from two), a pixel of the "
        f"diagram from 19; {len(pixels)} pixels are timed and extrapolated. That diagram looks for minima at the two "
        "corners only; ours looks for them on the whole rim and, searched, confirms each label in the disk. Set-up "
        "included: every table of the package is forgotten first. Our omega_c comes with the three other boundaries. "
        "Errors of the diagram: the largest of any of its four boundaries within the picture at a = "
        f"{', '.join(f'{a:g}' for a in SCALES)}; all errors against integrals on a polar grid, good to about 1e-13.",
        tuple(rows),
        remarks=tuple(remarks),
    )


def listed(errors: Array) -> str:
    return ", ".join(f"{error:.0e}" for error in errors)


def check_forms(
    name: str, direct: list[Array], labels: list[int], forms: Array, pixels: list[tuple[float, float]]
) -> None:
    """The forms of a peer must say what it finds at the pixels that were timed."""
    for (a, omega), quantities, label in zip(pixels, direct, labels, strict=True):
        found = forms @ [1, 1 - omega, omega * weight(a)]
        if np.abs(quantities - found).max() > 1e-6 or label != labels_by_rule(found):
            raise AssertionError(f"{name} at a = {a}, omega = {omega}: {quantities}, as forms {found}")


def compare(
    name: str, found: Mapping[str, Any], side: int, pixels: int, critical: float, curvatures: Array,
    errors: tuple[float, float], boundaries: tuple[float, float],
) -> list[Row]:  # fmt: skip
    """The rows against one peer."""
    paper = name == PAPER
    of_hessian, of_halving, of_ends = (found[f"{task}, {name}"] for task in ("Hessian", "omega_c", "ends"))
    whole = found[f"diagram, {name}"].seconds / pixels * side**2
    states = (("", ""), (", set-up included", ", cold"))
    rows = []
    for state, key in states:
        rows.append(
            Row(f"Hessian at the start{state}", name, found[f"Hessian{key}"].seconds, of_hessian.seconds, errors[0],
                deviation(of_hessian.value, curvatures))
        )  # fmt: skip
    for state, key in states:
        target = 1e4 if paper and not key else None
        rows.append(
            Row(f"omega_c, by halving{state}", name, found[f"omega_c{key}"].seconds, of_halving.seconds, errors[1],
                deviation(of_halving.value, critical), target=target)
        )  # fmt: skip
    rows.append(
        Row("omega_c, as affine in omega", name, found["omega_c"].seconds, of_ends.seconds, errors[1],
            deviation(of_ends.value, critical))
    )  # fmt: skip
    for task, word in (("diagram", ""), ("searched", ", searched")):
        for state, key in states:
            target = 1e5 if paper and key and not word else None
            rows.append(
                Row(f"{side} x {side} phase diagram{word}{state}", name, found[f"{task}{key}"].seconds, whole,
                    *boundaries, target=target)
            )  # fmt: skip
    return rows
