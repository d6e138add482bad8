# `make demo` runs these commands; the first that fails stops it.  Run from the project's folder.
set -eu
set -v

# Which exponent has the target of Fig. 2?
sie-sym sie -g "4/3 + He(4,z1) + 2*He(4,z2)"

# Its population loss under linear attention, as text and as LaTeX.
sie-sym loss --model linear-attention -g "4/3 + He(4,z1) + 2*He(4,z2)" --tokens 2 --encoding 1,1/2
sie-sym loss --model linear-attention -g "4/3 + He(4,z1) + 2*He(4,z2)" --tokens 2 --encoding 1,1/2 --latex > demo/loss.tex

# The landscape at initialization: this target's order 4 is invisible to a quadratic model.
sie-sym hessian --model linear-attention -g "4/3 + He(4,z1) + 2*He(4,z2)" --tokens 2 --encoding 1,1/2

# A target of order 2 that the same model escapes towards, semantically.
sie-sym hessian --model linear-attention -g "He(2,z1) + He(2,z2)" --tokens 2 --encoding 1,1/2

# The flow from near the start, drawn.
sie-sym flow --model linear-attention -g "He(2,z1) + He(2,z2)" --tokens 2 --encoding 1,1/2 --start m=.01,eps=.01 --time 2 --plot demo/flow.png
