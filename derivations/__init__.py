"""The results of arXiv:2506.02651 as executable pages, one a file: `sie-sym derive` runs them.

Each page states its claims with the number of the equation or theorem, derives them from definitions, checks them by an
independent route and says how they come out.  `ORDER` is the order of the paper: the setting, the loss, the
landscape and its exponents, Thm 1, tied against untied networks, the positional-semantic model, the appendices.
"""

ORDER = (
    "hermite_expansion",
    "hermite_tensors",
    "attention_reduction",
    "local_fields",
    "closed_form_loss",
    "sie_examples",
    "flatness_and_lemma_1",
    "normalisation_of_figure_2",
    "theorem_1",
    "theorem_1_simulation",
    "three_levels",
    "linear_attention_is_tied",
    "lemma_5",
    "proposition_2",
    "every_length",
    "lemma_6",
    "theorem_2_gain",
    "tied_and_untied_examples",
    "gains_by_simulation",
    "positional_semantic",
    "semantic_or_positional_by_simulation",
    "frobenius_vs_squared",
    "alternative_f3",
    "injected_encoding",
    "quadrature_g1",
    "quadrature_thresholds",
)
