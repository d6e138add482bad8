# `make demo` runs these commands; the first that fails stops it.  Run from the project's folder.
set -eu
set -v

# Which exponent has the target of Fig. 2?
sie-sym sie -g "4/3 + He(4,z1) + 2*He(4,z2)" -o demo/exponent.tex

# Its population loss under linear attention with a positional encoding, also as LaTeX.
sie-sym loss --model linear-attention -g "4/3 + He(4,z1) + 2*He(4,z2)" --encoding 1,1/2 -o demo/loss.tex

# The landscape at initialization: the order 4 of this target is invisible to a quadratic model.
sie-sym hessian --model linear-attention -g "4/3 + He(4,z1) + 2*He(4,z2)" --encoding 1,1/2

# A target of order 2, which the same model escapes towards: the direction is semantic.
sie-sym hessian --model linear-attention -g "He(2,z1) + He(2,z2)" --encoding 1,1/2 -o demo/landscape.tex

# The flow from near the start, its equations as LaTeX, and its picture.
sie-sym flow --model linear-attention -g "He(2,z1) + He(2,z2)" --encoding 1,1/2 --start m=.01,eps=.3 --time 2 -o demo/flow.tex --plot demo/flow.png

ls demo
