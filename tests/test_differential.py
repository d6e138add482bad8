"""Random cases by three routes each (`differential.py`), and proofs that a disagreement would be noticed."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import replace

import differential
import numpy as np
import pytest
import sympy as sp
from conftest import ROOT
from differential import Random, case, pair, run, split_grid

from sie_sym.functions import relu, token
from sie_sym.landscape import landscape
from sie_sym.target import Target

CHUNK = 100


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(24))
def test_random_cases_agree(chunk: int) -> None:
    made, cases, refused = run(range(CHUNK * chunk, CHUNK * (chunk + 1)))
    assert made > 4 * cases
    assert refused <= 2


def test_cases_that_once_failed() -> None:
    """Seeds that disagreed, or did not end.

    3015: the terms of a shifted Gaussian's derivatives doubled from order to order, a minute at order 24.
    16390: the mean of exp(4 z1), of which the quadrature had cut off 2e-8; the closed form was right.
    """
    made, _, refused = run([3015, 16390])
    assert made == 6 + 4
    assert refused == 0


def test_an_escape_that_once_took_minutes() -> None:
    """223: the flat valley of a loss with exponentials took SymPy minutes of common denominators."""
    one = pair(223)
    loss = differential.population_loss(Target.of(one.target.formula, tokens=1), one.model)
    assert landscape(loss).hessian[0, 0] == 0


def test_some_random_cases_agree() -> None:
    made, _, _ = run(range(100_000, 100_008))
    assert made > 20


def test_the_split_grid_is_exact_across_kinks() -> None:
    """E relu(Z1 + Z2 - 1) |Z1 - 2 Z2| sign(Z1): against a grid of 4000^2 midpoints, and moments without kinks."""
    plane = split_grid(((1, 1, 1), (1, -2, 0), (1, 0, 0)))
    x = (np.arange(4000) + 0.5) / 4000 * 16 - 8
    density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi) * 16 / 4000

    def h(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.maximum(a + b - 1, 0) * np.abs(a - 2 * b) * np.sign(a)

    by_midpoints = sum(float(w * (density @ h(np.full_like(x, a), x))) for a, w in zip(x, density, strict=True))
    assert plane.mean(h(*plane.points)) == pytest.approx(by_midpoints, abs=2e-6)
    assert plane.mean(plane.points[0] ** 6 * plane.points[1] ** 4) == pytest.approx(45, rel=1e-12)
    assert plane.mean(plane.he((4, 3)) ** 2) == pytest.approx(24 * 6, rel=1e-12)


def test_a_wrong_coefficient_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    one = replace(case(1), function=Random(relu(token(1)) * token(2), ((1.0, 0.0, 0.0),)))
    assert one.coefficients() == 4
    right = differential.weierstrass_transform

    def wrong(h: sp.Expr) -> object:
        return right(h + sp.Rational(1, 10**7) * token(1) * token(2))

    monkeypatch.setattr(differential, "weierstrass_transform", wrong)
    with pytest.raises(AssertionError, match="quadrature"):
        replace(one, alphas=((1, 1),)).coefficients()


def test_a_wrong_loss_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = differential.population_loss

    def wrong(target: object, model: object) -> object:
        loss = right(target, model)  # type: ignore[arg-type]
        return replace(loss, expression=loss.expression + sp.Rational(1, 10**6))

    assert pair(3).loss() == 9
    monkeypatch.setattr(differential, "population_loss", wrong)
    with pytest.raises(AssertionError, match="R of"):
        pair(3).loss()


@pytest.mark.parametrize("wrong", [(0,), (1,), (0, 0), (0, 1), (1, 1)])
def test_a_wrong_derivative_is_noticed(monkeypatch: pytest.MonkeyPatch, wrong: tuple[int, ...]) -> None:
    right = differential.Taylor.derivative

    def derivative(taylor: object, *variables: int) -> sp.Expr:
        return right(taylor, *variables) + (sp.Rational(1, 10**6) if variables == wrong else 0)  # type: ignore[arg-type]

    monkeypatch.setattr(differential.Taylor, "derivative", derivative)
    with pytest.raises(AssertionError, match=rf"d\^\({wrong.count(0)},{wrong.count(1)}\)"):
        pair(7).loss()


@pytest.mark.slow
def test_closed_forms_do_not_depend_on_the_hash_seed_or_the_ground_types() -> None:
    """The closed forms as text, under eight hash seeds and both of SymPy's ground types."""
    program = [sys.executable, str(ROOT / "tests" / "differential.py"), "--digest", "--cases", "24"]
    seen = set()
    for seed in range(8):
        ground = ("flint", "python")[seed % 2]
        environment = {**os.environ, "PYTHONHASHSEED": str(seed), "SYMPY_GROUND_TYPES": ground}
        run = subprocess.run(program, capture_output=True, text=True, env=environment, check=True)
        assert run.stdout.count("\n") >= 24
        seen.add(run.stdout)
    assert len(seen) == 1
