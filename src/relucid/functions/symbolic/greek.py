"""Letters and signs for what is spelled in ASCII."""

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "theta": "θ", "lambda": "λ",
    "lambd": "λ", "mu": "μ", "sigma": "σ", "tau": "τ", "omega": "ω",
}  # fmt: skip
SIGNS = {"<=": "≤", ">=": "≥", "!=": "≠", "==": "="}
