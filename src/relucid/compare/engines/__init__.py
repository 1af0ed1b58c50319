"""Ways to carry out the runs of a comparison, with the same results.

Each module has a function ``run(experiment, jobs, report=None)`` that yields runs as they end, and
may be closed early. It raises :class:`~relucid.errors.EngineError` for what it cannot carry out.
"""
