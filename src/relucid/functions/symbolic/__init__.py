"""The symbolic view of formulas, by SymPy.

Every module here imports SymPy, so the rest of the package imports these modules only inside the
functions that need them.
"""
