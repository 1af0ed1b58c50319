"""Activation modules, initialisation gains, and the route to PyTorch.

Every declared activation has a module class here, with torch.nn's name and signature where
PyTorch has the function: ``relucid.nn.ELU(alpha=0.5)``. They are made from the declarations.
"""

from typing import TYPE_CHECKING, Any

from relucid.functions import catalogue, speak_torch
from relucid.nn.classes import class_of
from relucid.nn.gain import gain
from relucid.nn.initialise import LayerInit, init_
from relucid.nn.make import make
from relucid.nn.module import ActivationModule
from relucid.nn.routes import Routes
from relucid.nn.sparsify import Sparsified, sparsify_

__all__ = [
    "ActivationModule",
    "LayerInit",
    "Sparsified",
    "gain",
    "init_",
    "make",
    "sparsify_",
]

speak_torch(Routes())

for _activation in catalogue().values():
    _class = class_of(_activation)
    globals()[_class.__name__] = _class
    __all__ += [_class.__name__]

if TYPE_CHECKING:
    # Any, so that the classes can be called and can stand in annotations.
    def __getattr__(name: str) -> Any: ...
