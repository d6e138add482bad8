"""The figure of a flow shows the flow, in the three formats, without global state."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
from conftest import ROOT

from sie_sym import plot
from sie_sym.errors import MissingExtra, SieSymError
from sie_sym.flow import Flow, gradient_flow
from sie_sym.model import linear_attention
from sie_sym.parse import parse_formula
from sie_sym.plot import check_path, flow_figure, plot_flow
from sie_sym.population_loss import PopulationLoss, population_loss
from sie_sym.target import Target

pytest.importorskip("matplotlib")


def loss(*columns: list[sp.Expr]) -> PopulationLoss:
    target = Target.of(parse_formula("He(2,z1) + He(2,z2)"))
    return population_loss(target, linear_attention(2).with_encoding(columns) if columns else linear_attention(2))


@pytest.fixture(scope="module")
def descent() -> tuple[Flow, PopulationLoss]:
    found = loss([sp.Integer(1), sp.Rational(1, 2)])
    return gradient_flow(found, [0.01, 0.3], 2.0), found


MAGIC = {"png": b"\x89PNG\r\n", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.mark.parametrize("kind", MAGIC)
def test_formats(tmp_path: Path, descent: tuple[Flow, PopulationLoss], kind: str) -> None:
    path = plot_flow(*descent, tmp_path / f"flow.{kind}")
    assert path.read_bytes().startswith(MAGIC[kind])
    assert [p.name for p in tmp_path.iterdir()] == [f"flow.{kind}"]


def test_the_same_flow_gives_the_same_file(tmp_path: Path, descent: tuple[Flow, PopulationLoss]) -> None:
    first, second = (plot_flow(*descent, tmp_path / name).read_bytes() for name in ("a.svg", "b.svg"))
    assert first == second


def test_the_lines_are_the_trajectory(descent: tuple[Flow, PopulationLoss]) -> None:
    flow, found = descent
    overlaps, descent_axes, disk = flow_figure(flow, found).axes[:3]
    drawn = {line.get_label(): line for line in overlaps.get_lines()}
    for i, label in enumerate(["$m$", r"$\varepsilon$"]):
        np.testing.assert_array_equal(drawn[label].get_xydata(), np.c_[flow.t, flow.states[:, i]])
    np.testing.assert_array_equal(descent_axes.get_lines()[0].get_xydata(), np.c_[flow.t, flow.losses])
    path = next(line for line in disk.get_lines() if line.get_label() == "flow")
    np.testing.assert_array_equal(path.get_xydata(), flow.states[:, ::-1])
    assert "step" in descent_axes.get_xlabel()


def test_the_hessian_directions_are_drawn_with_their_curvatures(descent: tuple[Flow, PopulationLoss]) -> None:
    # H = diag(-8, 27/2) in (m, eps), theory section 9: downhill along m (vertical, solid), uphill along eps.
    disk = flow_figure(*descent).axes[2]
    down, up = (line for line in disk.get_lines() if str(line.get_label()).startswith("curvature"))
    assert "-8" in str(down.get_label())
    assert "+13.5" in str(up.get_label())
    assert np.ptp(np.asarray(down.get_xdata())) == 0 < np.ptp(np.asarray(down.get_ydata()))
    assert np.ptp(np.asarray(up.get_ydata())) == 0 < np.ptp(np.asarray(up.get_xdata()))
    assert (down.get_linestyle(), up.get_linestyle()) == ("-", "--")


@pytest.mark.parametrize("columns", [[], [[1, -1], [0, 1]]], ids=["none", "two"])
def test_without_exactly_one_positional_overlap_there_is_no_disk(columns: list[list[int]], tmp_path: Path) -> None:
    found = loss(*([sp.Integer(c) for c in column] for column in columns))
    flow = gradient_flow(found, [0.1] * len(found.statistics), 0.5)
    assert len(flow_figure(flow, found).axes) == 2
    assert plot_flow(flow, found, tmp_path / "flow.png").stat().st_size > 10_000


def test_a_flow_that_does_not_move_and_a_flat_landscape(tmp_path: Path) -> None:
    target = Target.of(parse_formula("z1 - z2"))
    found = population_loss(target, linear_attention(2).with_encoding([[sp.Integer(1), sp.Integer(-1)]]))
    assert found.expression.is_number  # e = (eps, -eps) cancels in z1 + z2: App. E.4
    flow = gradient_flow(found, [0.1, 0.1], 1.0)
    assert plot_flow(flow, found, tmp_path / "flow.png").exists()


@pytest.mark.parametrize("name", ["flow.gif", "flow", "flow.png.txt"])
def test_other_formats_are_refused(tmp_path: Path, descent: tuple[Flow, PopulationLoss], name: str) -> None:
    with pytest.raises(SieSymError, match=r"unknown extension .*choose \.png, \.svg, \.pdf"):
        plot_flow(*descent, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path: Path, descent: tuple[Flow, PopulationLoss]) -> None:
    with pytest.raises(SieSymError, match="cannot write"):
        plot_flow(*descent, tmp_path / "missing" / "flow.png")


def test_without_matplotlib_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"pip install 'sie-sym\[plot\]'"):
        check_path("flow.png")


def test_importing_draws_nothing() -> None:
    source = "import sys, sie_sym.plot; print([m for m in sys.modules if m.startswith('matplotlib')])"
    run = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_pyplot_is_never_used() -> None:
    assert plot.__file__ is not None
    assert "pyplot" not in Path(plot.__file__).read_text().replace("without pyplot", "")
