r"""Standard normals and chi^2 lengths by counter, for numba: every number is a function of (seed, replica, step, slot).

Philox4x32 (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011) gives 128 bits a
counter; Box-Muller turns them into two normals.  Nothing branches and no library is called, so that the
loops become vector instructions.

The lengths are Marsaglia and Tsang's Gamma variates (ACM TOMS 26, 2000):
x normal, v = (1 + c x)^3, kept with probability p(x) >= 1 - x^4/(54 d) for |c x| <= 1/2.  The second normal
y decides: its tail 2 Phi(-|y|) is uniform, and |y| <= 3 settles all but a few in a thousand without
evaluating it.

There is no state to keep: a checkpoint needs none, and neither blocks nor workers change a
draw.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from sie_sym.errors import MissingExtra
from sie_sym.simulation.fields import Array

_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_ROUNDS = 7  # the fewest that Philox's authors found to pass every test of BigCrush
_LENGTH_SLOT = 1 << 24
"""Slots from here on serve the lengths, 4096 a chain, one an attempt; normals stay below."""


def numba_or_missing() -> Any:
    """The numba module; raises `MissingExtra`."""
    try:
        import numba
    except ImportError:
        raise MissingExtra("fast", "numba") from None
    return numba


def compiled(numba: Any, function: Callable[..., Any]) -> Any:
    """Machine code that releases the GIL; 1/0 is inf as in numpy, and a diverging replica is counted by the caller."""
    return numba.njit(nogil=True, error_model="numpy", fastmath={"contract"})(function)


class CounterDraws:
    """The draws of a block of replicas, `first` the index of its first one: nothing but functions of the counter."""

    def __init__(self, seed: int, first: int, shape: float) -> None:
        self.key = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
        self.first, self.shape = first, shape
        self.kernel = counter_kernels().fill

    def fill(self, step: int, normals: Array, lengths: Array) -> None:
        """Normals (S, rows, R) and chi^2 (S, c, R) with 2 `shape` degrees, for the steps from `step` on."""
        self.kernel(self.key, self.first, step, self.shape, normals, lengths)

    @property
    def state(self) -> list[Any]:
        """Nothing."""
        return []

    @state.setter
    def state(self, value: list[Any]) -> None:
        pass


class Kernels:
    """The compiled functions: `philox` (4 + 2 words to two 64-bit ones), `normal_pair` (two words to two), `fill`."""

    def __init__(self, philox: Any, normal_pair: Any, fill: Any) -> None:
        self.philox, self.normal_pair, self.fill = philox, normal_pair, fill


@lru_cache(maxsize=1)
def counter_kernels() -> Kernels:
    """Compile once; raises `MissingExtra`."""
    numba = numba_or_missing()
    types, intrinsic = numba.core.types, numba.extending.intrinsic

    def reinterpreted(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

    def float_of_bits(typing_context: Any, bits: Any) -> Any:
        return types.float64(types.uint64), reinterpreted

    def bits_of_float(typing_context: Any, number: Any) -> Any:
        return types.uint64(types.float64), reinterpreted

    as_float, as_bits = intrinsic(float_of_bits), intrinsic(bits_of_float)

    u = np.uint64
    low32, bits32 = u(0xFFFFFFFF), u(32)
    multiply_a, multiply_b = u(0xD2511F53), u(0xCD9E8D57)
    weyl_a, weyl_b = u(0x9E3779B9), u(0xBB67AE85)
    one_bits, mantissa, shift12, shift52 = u(0x3FF0000000000000), u(0x000FFFFFFFFFFFFF), u(12), u(52)
    half_root2 = u(0x3FE6A09E667F3BCD)  # the bits of sqrt(1/2): mantissas are taken in [sqrt(1/2), sqrt 2)
    magic_bits, magic = u(0x4330000000000000), 4503599627370496.0
    root_half = math.sqrt(0.5)
    zero, one, two, sign_shift, sign_shift_2 = u(0), u(1), u(2), u(63), u(62)

    def philox(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any, rounds: Any) -> Any:
        for _ in range(rounds):
            product_a, product_b = multiply_a * c0, multiply_b * c2
            c0, c1, c2, c3 = (
                (product_b >> bits32) ^ c1 ^ k0,
                product_b & low32,
                (product_a >> bits32) ^ c3 ^ k1,
                product_a & low32,
            )
            k0, k1 = (k0 + weyl_a) & low32, (k1 + weyl_b) & low32
        return c0 | (c1 << bits32), c2 | (c3 << bits32)

    philox = numba.njit(inline="always")(philox)

    def uniform(word: Any) -> Any:
        """(0, 1], 52 bits."""
        return 2.0 - as_float((word >> shift12) | one_bits)

    uniform = numba.njit(inline="always")(uniform)

    def normal_pair(first: Any, second: Any) -> Any:
        """Box-Muller with log, sin and cos as in fdlibm (below one unit in the last place)."""
        bits = as_bits(uniform(first)) + (one_bits - half_root2)
        # the exponent as a float: 2^52 + bits, less the bias, without an integer conversion
        exponent = as_float((bits >> shift52) | magic_bits) - (magic + 1023.0)
        f = as_float((bits & mantissa) + half_root2) - 1.0
        s = f / (2.0 + f)
        z = s * s
        w = z * z
        even = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01))
        odd = z * (
            6.666666666666735130e-01
            + w * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01))
        )
        half = 0.5 * f * f
        logarithm = exponent * _LN2_HIGH - ((half - (s * (half + even + odd) + exponent * _LN2_LOW)) - f)
        radius = math.sqrt(-2.0 * logarithm)
        # an angle in [-pi/4, pi/4), then one of four quarter turns from two bits not used by it
        angle = (as_float((second >> shift12) | one_bits) - 1.5) * (0.5 * math.pi)
        z = angle * angle
        sine = angle + angle * z * (
            -1.66666666666666324348e-01
            + z
            * (
                8.33333333332248946124e-03
                + z
                * (
                    -1.98412698298579493134e-04
                    + z
                    * (2.75573137070700676789e-06 + z * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10))
                )
            )
        )
        cosine = 1.0 - (
            0.5 * z
            - z
            * z
            * (
                4.16666666666666019037e-02
                + z
                * (
                    -1.38888888888741095749e-03
                    + z
                    * (
                        2.48015872894767294178e-05
                        + z
                        * (
                            -2.75573143513906633035e-07
                            + z * (2.08757232129817482790e-09 + z * -1.13596475577881948265e-11)
                        )
                    )
                )
            )
        )
        swap = zero - (second & one)
        x_bits, y_bits = as_bits(radius * cosine), as_bits(radius * sine)
        difference = (x_bits ^ y_bits) & swap
        turned_x = x_bits ^ difference ^ ((second & two) << sign_shift_2)
        turned_y = y_bits ^ difference ^ (((second >> one) ^ second) & one) << sign_shift
        return as_float(turned_x), as_float(turned_y)

    normal_pair = numba.njit(inline="always")(normal_pair)

    def length(k0: Any, k1: Any, run: Any, c1: Any, c2: Any, c3: Any, d: float, c: float) -> Any:
        while True:
            word, other = philox(u(run), c1, c2, c3, k0, k1, _ROUNDS)
            x, y = normal_pair(word, other)
            w = c * x
            if w > -1.0:
                # log p = x^2/2 + d (1 - v + log v), v = (1 + w)^3, arranged so that it survives d = 10^12
                log_p = 0.5 * x * x + d * (3.0 * (math.log1p(w) - w) - w * w * (3.0 + w))
                if -math.expm1(log_p) < math.erfc(math.fabs(y) * root_half):
                    return 2.0 * d * (1.0 + w) * (1.0 + w) * (1.0 + w)
            c1 += one

    length = compiled(numba, length)

    def fill(key: Any, first: Any, step: Any, shape: float, normals: Array, lengths: Array) -> None:
        k0, k1 = u(key) & low32, u(key) >> bits32
        rows, runs = normals.shape[1], normals.shape[2]
        d = shape - 1.0 / 3.0
        c = 1.0 / math.sqrt(9.0 * d)
        # |x|^4/(54 d) < 2 Phi(-3): then |y| <= 3 is proof enough, and |c x| < 1/4 for all shapes >= 1
        reach = math.sqrt(54.0 * 0.00269 * d)
        for s in range(normals.shape[0]):
            c2, c3 = u(step + s) & low32, u(step + s) >> bits32
            for pair in range(rows // 2):
                for run in range(runs):
                    word, other = philox(u(first + run), u(pair), c2, c3, k0, k1, _ROUNDS)
                    x, y = normal_pair(word, other)
                    normals[s, 2 * pair, run] = x
                    normals[s, 2 * pair + 1, run] = y
            if rows % 2:
                for run in range(runs):
                    word, other = philox(u(first + run), u(rows // 2), c2, c3, k0, k1, _ROUNDS)
                    x, y = normal_pair(word, other)
                    normals[s, rows - 1, run] = x
            for chain in range(lengths.shape[1]):
                c1 = u(_LENGTH_SLOT + 4096 * chain)
                for run in range(runs):
                    word, other = philox(u(first + run), c1, c2, c3, k0, k1, _ROUNDS)
                    x, y = normal_pair(word, other)
                    w = c * x
                    quick = (math.fabs(y) <= 3.0) & (x * x <= reach)
                    value = 2.0 * d * (1.0 + w) * (1.0 + w) * (1.0 + w)
                    # one degree of freedom is below the reach of the method and is the square of a normal
                    lengths[s, chain, run] = x * x if shape == 0.5 else (value if quick else -1.0)
                for run in range(runs):
                    if lengths[s, chain, run] < 0.0:
                        lengths[s, chain, run] = length(k0, k1, first + run, c1, c2, c3, d, c)

    return Kernels(philox, normal_pair, compiled(numba, fill))
