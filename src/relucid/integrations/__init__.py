"""What a watch sees, where people already look: training frameworks and experiment trackers.

One file each, and nothing is imported until it is asked for: ``lightning`` and ``transformers``
hold callbacks; ``tensorboard``, ``mlflow`` and ``wandb`` write what your own loop has watched;
:func:`~relucid.integrations.reading.scalars` gives the numbers to any other tracker.
"""
