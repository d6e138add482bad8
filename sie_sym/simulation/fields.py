r"""What SGD reads of a target and a model: g(z*), phi(z) and the per-token gradients, as float64 functions.

The gradient of the loss of one sample is sum_l delta_l (X + P)_l with delta_l = -2 <g(z*) - phi(z), d_l
phi(z)>. A tied network and linear attention read the tokens through u = (1/sqrt L) sum_l z_l alone: there
the one number delta_u = -2 (g - sigma(u)) sigma'(u) replaces L of them, delta_l = delta_u / sqrt L
(`Fields.summed`).

Where w* and the encoding directions are not orthogonal (App. F.3) their Gram matrix Gamma = A A^T (Cholesky, w* first)
gives orthonormal directions q with (w*, u_1, ..., u_r) = A q and q_0 = w*: in the overlaps sigma = A^{-1} (m, eps) with
them SGD is that of an encoding C A_{1:,1:} along q_1..q_r that has a part C A_{1:,0} along w* itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike, NDArray

from sie_sym.errors import DomainError, FormulaError
from sie_sym.functions import TOKENS, token
from sie_sym.model import ACTIVATION_VARIABLE, Model
from sie_sym.numeric import numeric_function, scalar_function
from sie_sym.target import Target, parameters_of

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Fields:
    r"""g, phi and delta as functions of arrays whose last axis runs over samples.

    `target` maps z* (L, N) to g (k, N); `response` maps (g (k, N), z (n, N)) to (delta (n, N), |g - phi|^2
    (N,)). n = L, or n = 1 when `summed`: then `response` reads u = sum_l z_l / sqrt L.  `encoding` is C,
    (L, r). `untied`: one weight vector a token, u = sum_l <W_l, x_l> / sqrt L (eq. 15).  `scalar_target`
    (from L floats to a tuple of k) and `scalar_response` (from k + n to a tuple of n + 1) are the same
    functions of one sample, given as one indexable and written with `math` alone: what numba compiles.
    `gram` is Gamma, that of (w*, u_1..u_r)/d, (1 + r, 1 + r), the identity by default.
    """

    tokens: int
    target: Callable[[Array], Array]
    response: Callable[[Array, Array], tuple[Array, Array]]
    encoding: Array = field(default_factory=lambda: np.empty((0, 0)))
    summed: bool = False
    untied: bool = False
    scalar_target: Callable[..., tuple[float, ...]] | None = None
    scalar_response: Callable[..., tuple[float, ...]] | None = None
    gram: Array = field(default_factory=lambda: np.empty((0, 0)))

    def __post_init__(self) -> None:
        encoding = np.asarray(self.encoding, dtype=float)
        if encoding.size == 0:
            encoding = np.zeros((self.tokens, 0))
        if encoding.ndim != 2 or encoding.shape[0] != self.tokens or not np.isfinite(encoding).all():
            raise FormulaError(
                f"the encoding has shape {encoding.shape} but the sequence has {self.tokens} tokens: "
                "give one finite row a token and one column a direction"
            )
        if self.untied and encoding.shape[1]:
            raise FormulaError(
                f"the untied network has no positional encoding but {encoding.shape[1]} encoding column(s) "
                "were given: drop them, or use the tied network"
            )
        object.__setattr__(self, "encoding", encoding)
        n = 1 + encoding.shape[1]
        gram = np.asarray(self.gram, dtype=float)
        gram = np.eye(n) if gram.size == 0 else gram
        sound = gram.shape == (n, n) and bool(np.isfinite(gram).all()) and bool(np.allclose(gram, gram.T, rtol=1e-12))
        if not sound or abs(gram[0, 0] - 1) > 1e-12 or np.linalg.eigvalsh(gram)[0] <= 0:
            raise FormulaError(
                f"Gram matrix {gram.tolist()}: it must be symmetric, positive definite and {n} x {n}, a row for w* "
                "(its diagonal entry is 1) and one for each encoding direction"
            )
        object.__setattr__(self, "gram", gram)

    @property
    def orthonormal(self) -> bool:
        """Whether w* and the encoding directions are orthogonal and of squared length d."""
        return bool((self.gram == np.eye(len(self.gram))).all())

    @cached_property
    def basis(self) -> Array:
        """A, lower triangular, of Gamma = A A^T: (m, eps) = A sigma."""
        return np.asarray(np.linalg.cholesky(self.gram))

    @cached_property
    def frame_encoding(self) -> Array:
        """The encoding along the orthonormal q_0 = w*, q_1, ..., q_r: (L, 1 + r); e = `frame_encoding` sigma."""
        return np.asarray(self.encoding @ self.basis[1:])

    @property
    def rank(self) -> int:
        """The number r of encoding directions."""
        return int(self.encoding.shape[1])

    @property
    def inputs(self) -> int:
        """n: how many numbers `response` reads of z (1 if summed, else L)."""
        return 1 if self.summed else self.tokens

    def read(self, z: Array) -> Array:
        """What `response` reads of the local fields z (L, ...): u = sum z / sqrt L if summed, else z itself."""
        return z.sum(axis=0, keepdims=True) / np.sqrt(self.tokens) if self.summed else z

    @classmethod
    def of_callables(
        cls,
        tokens: int,
        target: Callable[[Array], Array],
        model: Callable[[Array], Array],
        gradient: Callable[[Array], Array],
        encoding: Any = (),
        *,
        summed: bool = False,
        untied: bool = False,
        gram: ArrayLike = (),
    ) -> Fields:
        r"""Plain functions: g and phi give (k, N), `gradient` gives d_l phi as (k, n, N).

        >>> product = Fields.of_callables(1, lambda z: z, lambda z: z**2, lambda z: 2 * z[:, None])
        >>> delta, loss = product.response(np.array([[1.0]]), np.array([[3.0]]))
        >>> float(delta[0, 0]), float(loss[0])  # -2 (1 - 9) 6, (1 - 9)^2
        (96.0, 64.0)
        """

        def response(y: Array, z: Array) -> tuple[Array, Array]:
            residual = y - model(z)
            delta = -2.0 * np.einsum("kN,knN->nN", residual, gradient(z))
            return delta, np.einsum("kN,kN->N", residual, residual)

        columns = np.asarray(encoding, dtype=float)
        if columns.ndim == 1 and columns.size:
            columns = columns[:, None]
        return cls(tokens, target, response, columns, summed, untied, gram=np.asarray(gram, dtype=float))


def fields_of(
    target: Target,
    model: Model,
    values: Mapping[sp.Symbol, Any] | None = None,
    *,
    untied: bool = False,
    gram: ArrayLike = (),
) -> Fields:
    r"""The float64 functions of a symbolic target and model, parameters replaced by `values`.

    `untied` gives each token its own weight vector (also chosen by `model.family == "untied"`).  `gram` is Gamma where
    w* and the encoding directions are not orthonormal; a target that reads (X + P) w* has the means C Gamma_{1:,0} of
    these fields in its formula (App. F.3: softmax_rows(v v^T), v = z* + omega c).  Raises
    `FormulaError` for an unset parameter or a mismatch of tokens or outputs, and `DomainError` when phi has
    jumps: its gradient is then zero almost everywhere and SGD cannot see the loss.

    >>> from sie_sym.model import linear_attention
    >>> linear = fields_of(Target.of(token(1) * token(2)), linear_attention(2))
    >>> linear.target(np.array([[2.0], [3.0]]))
    array([[6.]])
    """
    substitution = dict(values or {})
    if target.tokens != model.tokens:
        raise FormulaError(
            f"the target has {target.tokens} tokens and the model {model.tokens}: give both the same number"
        )
    if len(target.components) != len(model.components):
        raise FormulaError(
            f"the target has {len(target.components)} outputs and the model {len(model.components)}: "
            "the loss |g - phi|^2 needs as many of each; choose another reduction"
        )
    goals = [component.subs(substitution) for component in target.components]
    encoding = model.encoding.subs(substitution)
    # An injection shifts the tokens inside `components` and leaves `activation` untouched.
    summed = model.activation is not None and not model.injection
    if summed and model.activation is not None:
        inputs, outputs = [ACTIVATION_VARIABLE], [model.activation.subs(substitution)]
    else:
        inputs = [token(l) for l in range(1, model.tokens + 1)]
        outputs = [_unrolled(component.subs(substitution)) for component in model.components]
    unset = parameters_of([*goals, *outputs, encoding])
    unset = tuple(symbol for symbol in unset if symbol not in inputs)
    if unset:
        names = ", ".join(map(str, unset))
        raise FormulaError(f"SGD needs numbers but {names} has no value: pass {{{names}: number}}")
    answers = [sp.Symbol(f"y{j}", real=True) for j in range(1, len(outputs) + 1)]
    expressions = _response(answers, inputs, outputs)
    tokens = [token(l) for l in range(1, model.tokens + 1)]
    respond = numeric_function([*answers, *inputs], expressions)

    def response(y: Array, z: Array) -> tuple[Array, Array]:
        result = respond(np.concatenate((y, z)))
        return result[:-1], result[-1]

    return Fields(
        model.tokens,
        numeric_function(tokens, goals),
        response,
        np.array(encoding.tolist(), dtype=float).reshape(encoding.shape),
        summed,
        untied or model.family == "untied",
        scalar_function(tokens, goals, vector=True),
        scalar_function([*answers, *inputs], expressions, vector=True),
        np.asarray(gram, dtype=float),
    )


def _response(answers: list[sp.Symbol], inputs: list[sp.Symbol], outputs: list[sp.Expr]) -> list[sp.Expr]:
    """delta_l = -2 sum_k (y_k - phi_k) d_l phi_k for each input, then the loss sum_k (y_k - phi_k)^2."""
    residuals = [y - phi for y, phi in zip(answers, outputs, strict=True)]
    expressions = []
    for symbol in inputs:
        slopes = [sp.diff(phi, symbol) for phi in outputs]
        if any(slope.has(sp.DiracDelta) for slope in slopes):
            raise DomainError(
                f"the model jumps as a function of {symbol}: its gradient is zero almost everywhere and SGD "
                "does not move; choose a continuous activation"
            )
        expressions.append(sp.Add(*(-2 * residual * slope for residual, slope in zip(residuals, slopes, strict=True))))
    return [*expressions, sp.Add(*(residual**2 for residual in residuals))]


def _unrolled(expression: sp.Expr) -> sp.Expr:
    """Structured sums and products written out: d/dz3 must see the TOKENS[3] hidden in them."""
    if not expression.has(TOKENS):
        return expression
    plain = expression.doit()
    return plain.xreplace({entry: token(int(entry.indices[0])) for entry in plain.atoms(sp.Indexed)})
