"""From expressions to float64 functions: what `numeric` compiles with."""
