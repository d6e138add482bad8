"""Points, weights and the Hermite coefficients of numeric functions, each with its error."""
