"""Symbolic derivations for sequence single-index models (arXiv:2506.02651): the public names.

    >>> import sie_sym
    >>> target = sie_sym.Target.of(sie_sym.parse_formula("He(2, z1) + He(2, z2)"))
    >>> sie_sym.population_loss(target, sie_sym.linear_attention(2)).expression
    7 - 4*m**2

Names are imported when they are first used (PEP 562), so that `import sie_sym` and `sie-sym --help` do not wait for
SymPy; with the first one results learn to show as formulas in notebooks.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "errors": "DomainError FormulaError MissingExtra NoClosedForm SieSymError TruncationError",
    "evidence": "Evidence weakest",
    "functions": "TOKENS He Phi SignProduct gelu relu sigmoid softmax softplus token",
    "parse": "parse_formula parse_number",
    "parse_latex": "parse_latex",
    "latex_tables": "parse_latex_coefficients",
    "target": "Target",
    "model": "ACTIVATION_VARIABLE Model attention_matrix formula_model linear_attention softmax_attention tied_network",
    "paper_targets": "NamedTarget named_target named_targets",
    "gaussian": "GaussianExpectation enclose_expectation",
    "transforms.transform": "Transform",
    "weierstrass": "weierstrass_transform",
    "quadratures.measure": "Measured measure",
    "expansion": "Coefficient HermiteExpansion",
    "population_loss": "PopulationLoss population_loss",
    "exponents": "InformationExponent SampleComplexity Stratum information_exponent sample_complexity",
    "landscape": "Escape Landscape Visibility landscape",
    "gradient_noise": "GradientNoise gradient_noise stability_rate",
    "numeric": "NumericFunction NumericLoss numeric_function numeric_loss scalar_function",
    "losses.numerical_loss": "NumericalLoss loss_function tabulated_loss",
    "numerical_landscape": "NumericalLandscape numerical_landscape",
    "numerical_noise": "NumericalNoise noise_function numerical_stability_rate tabulated_noise",
    "frobenius_loss": "frobenius_loss frobenius_noise",
    "phase_diagram": "minima phase_boundaries phase_labels region",
    "phase_regions": "PhaseLine phase_line",
    "gain": "Gain",
    "untied": "tied_loss untied_loss",
    "recovery": "recovery_times",
    "scaling": "HittingTime Law ScalingFit hitting_time",
    "simulation.fields": "fields_of",
    "sgd": "SGDResult SGDSettings plain_sgd run_sgd",
    "sweep": "dask_executor read_rows run_sweep",
    "task": "Task grid run_task",
    "audit": "Conventions Counterexample Route Verdict check",
    "flow": "Flow FlowBatch gradient_flow gradient_flow_batch weak_recovery_time",
    "typesetting.tables": "Coefficients",
    "latex": "FlowEquation latex latex_document",
    "typesetting.plain_printer": "plain",
    "plot": "plot_flow",
    "plots.surface": "plot_surface",
    "plots.phases": "plot_phases",
    "plots.dynamics": "flow_prediction network_prediction plot_gain plot_sgd",
    "pages.mathml": "mathml",
    "report": "Page Section report section",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = sorted([*_HOME_OF, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    import_module("sie_sym.latex")
    value = getattr(import_module(f"sie_sym.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)


class _Facade(ModuleType):
    """A public name that is also a module's (`landscape`, `latex`, ...) means what is public, whoever imports first."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOME_OF and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Facade
