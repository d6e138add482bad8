"""The figures of the paper come out: their numbers, and pictures that are drawn."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("matplotlib")

NAMES = ("figure_1", "figure_2", "figure_4", "figure_5_left", "figure_6", "figure_13_flow")


def page(name: str) -> ModuleType:
    return importlib.import_module(f"derivations.{name}")


def check(name: str) -> dict[str, Any]:
    found: dict[str, Any] = page(name).check()
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_is_drawn(name: str, tmp_path: Path) -> None:
    path = page(name).figure(tmp_path / f"{name}.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 40_000


@pytest.mark.parametrize("name", NAMES)
def test_a_page_names_its_source_and_settings(name: str) -> None:
    text = page(name).__doc__ or ""
    assert "arXiv:2506.02651" in text
    assert "Claim: " in text
    assert "Settings: " in text
    assert page(name).SOURCE.startswith("arXiv:2506.02651, Fig. ")


def test_figure_1() -> None:
    # theory section 9: H_mm = -1.1278271103, H_ee = 2.0760082143 for He_2; He_4 has the same H_ee and no H_mm
    found = check("figure_1")
    assert found["orders"] == [2, 4]
    (first, second), errors = found["hessians"], found["errors"]
    assert first[0][0] == pytest.approx(-1.1278271103, abs=1e-10)
    assert first[1][1] == pytest.approx(2.0760082143, abs=1e-10)
    assert second[0] == [0.0, 0.0]
    assert second[1][1] == pytest.approx(2.0760082143, abs=1e-10)
    assert max(max(row) for matrix in errors for row in matrix) < 1e-7


def test_figure_2() -> None:
    # theory section 9: +0.1903901311 with the trace, -0.2953 with the trace over sqrt L
    found = check("figure_2")
    trace, mean = found["trace"], found["mean-trace"]
    assert [trace["order"], mean["order"], trace["order_encoded"], mean["order_encoded"]] == [4, 4, 2, 2]
    assert trace["curvature"] == pytest.approx(0.1903901311, abs=1e-10)
    assert mean["curvature"] == pytest.approx(-0.2953, abs=5e-5)
    assert (trace["escapes"], mean["escapes"]) == (None, "positional")


def test_figure_4() -> None:
    # theory section 9
    found = check("figure_4")
    assert len(found["shares"]) == 6
    assert all(share > 0.005 for share in found["shares"].values())
    expected = {
        "dynamics": 0.6409626179,
        "semantic_minimum": 0.8416054039,
        "positional_minimum": 0.5082142374,
        "global_minimum": 0.7376068293,
    }
    assert found["boundaries"] == pytest.approx(expected, abs=1e-10)
    assert found["dynamics"] == pytest.approx({0.76: 0.9267089012, 0.9: 0.7266098347}, abs=1e-10)
    assert found["examples"] == ["global semantic, positional dynamics", "unique semantic, misaligned dynamics"]


def test_figure_5_left() -> None:
    # theory section 9: R at (eps, m) = (0, 0), (0.3, 0.5), (0.5, 0.8); most runs go positional
    found = check("figure_5_left")
    semantic, positional = found["curvatures"]
    assert positional < semantic < 0
    # H_mm = -4 (1 - omega) K, K = 0.1102511689
    assert semantic == pytest.approx(-4 * 0.33 * 0.1102511689, abs=1e-9)
    assert found["values"] == pytest.approx([0.2635041518, 0.2388290940, 0.2074632174], abs=2e-10)
    best, *_, worst = found["minima"]
    assert (best[:2], worst[:2]) == ((1.0, 0.0), (0.0, 1.0))
    assert best[2] < worst[2]
    assert 0.5 < found["positional"] < 0.8
    assert found["distance"] < 1e-3


def test_figure_6() -> None:
    found = check("figure_6")
    for target, order in (("@sum", 1), ("@he3", 3)):
        numbers = found[target]
        assert numbers["odd_part"] < 1e-12
        assert numbers["range"] < 1e-12
        assert numbers["visible"] is None
        assert (numbers["visible_injected"], numbers["escape_injected"]) == (order, order)


def test_figure_13_flow() -> None:
    found = check("figure_13_flow")
    semantic, positional = found["growth"]
    assert positional > 1.5 * semantic > 0
    assert found["region"] == "unique semantic, misaligned dynamics"
    stable, unstable = found["saddle_curvatures"][1], found["saddle_curvatures"][0]
    assert unstable < 0 < stable
    assert found["lingers"] > 0.25
    assert found["peak"][1] > 0.85
    assert found["end"] == pytest.approx((1.0, 0.0), abs=1e-4)
