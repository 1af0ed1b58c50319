"""Every error that relucid raises on purpose: what was wrong, where, and what to do."""

from __future__ import annotations


class RelucidError(Exception):
    """Base of all errors raised by relucid. Its message names the cause and the cure."""


class UnknownActivationError(RelucidError, LookupError):
    """No declared activation has this name, class or callable."""


class ParameterError(RelucidError, ValueError):
    """A parameter of an activation is unknown, missing or outside its domain."""


class DeclarationError(RelucidError, ValueError):
    """A declaration contradicts itself or cannot be worked with."""


class DtypeError(RelucidError, TypeError):
    """The element type is one on which this function is not defined."""


class ShapeError(RelucidError, ValueError):
    """The shape or axis does not fit the function."""


class KernelError(RelucidError, RuntimeError):
    """A formula cannot be compiled, or a requested route is not to be had here."""


class ModelError(RelucidError, ValueError):
    """The model cannot be examined as given."""


class NoActivationError(ModelError):
    """The model calls no activation."""


class DataError(RelucidError, ValueError):
    """The data are empty, or the model refuses them."""


class DomainError(RelucidError, ValueError):
    """The declared input domain is no range, or does not fit the model's inputs."""


class GraphError(RelucidError, ValueError):
    """The graph of the model cannot be captured by ``torch.export``."""


class ShrinkError(RelucidError, ValueError):
    """The model cannot be shrunk: its graph cannot be captured, or its weights are no numbers."""


class ExportError(RelucidError, ValueError):
    """The model cannot be exported as asked, or the file does not compute what the model does."""


class LossError(RelucidError, ValueError):
    """The loss is not a scalar that can be differentiated."""


class SubjectError(RelucidError, ValueError):
    """A ``module:function`` subject cannot be imported or returns something else."""


class OutputError(RelucidError, OSError):
    """A result cannot be written where it was asked for."""


class RuleError(RelucidError, LookupError):
    """No rule of the diagnosis, or no threshold of one, has this name."""


class RecordError(RelucidError, ValueError):
    """A stored record is damaged or of a version that this relucid does not read."""


class MissingDependencyError(RelucidError, ImportError):
    """An optional package is needed for this and is not installed."""


class EngineError(RelucidError, RuntimeError):
    """An engine cannot carry out this experiment."""


class StoreError(RelucidError, OSError):
    """The store of a comparison's runs cannot be opened, read or written."""


class KernelWarning(UserWarning):
    """A formula cannot be compiled, and runs in plain operations."""
