"""The classifier: how rough a plate is, and logistic regression of that. Trained at start, in well under a second.

Roughness is in levels of grey, as a first version of such a thing would have it. So it is only as good as the light
that it was trained in: under weaker lamps a scratch has fewer levels, and passes for good metal.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
import plates
from numpy.typing import NDArray

Crops = NDArray[np.uint8]
"""Plates cut out: shape (n, SIZE, SIZE)."""
Probabilities = NDArray[np.float64]
"""Of "good" and "scratched" for each plate: shape (n, 2)."""


@dataclass(frozen=True)
class Training:
    """What a model is trained with: scenes of four plates, drawn and photographed anew from `seed`."""

    scenes: int = 150
    seed: int = 7

    @property
    def params(self) -> dict[str, Any]:
        """The hyperparameters by name."""
        return asdict(self)


def roughness(crops: Crops) -> NDArray[np.float64]:
    """Return five numbers for each plate, shape (n, 5): upper quantiles of its edges' strength.

    What is common to a row is taken off first: it is how the metal was brushed.
    """
    grey = crops[:, 3:-3, 3:-3].astype(float)
    grey -= np.median(grey, axis=2, keepdims=True)
    strength = np.abs(grey).reshape(len(grey), -1)
    found: NDArray[np.float64] = np.quantile(strength, (0.9, 0.97, 0.985, 0.993, 0.999), axis=1).T
    return found


@cache
def model(training: Training) -> Any:
    """Return a trained classifier, the same for the same training."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - only where plates are inspected
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    rng = np.random.default_rng(training.seed)
    scenes = [plates.draw(rng) for _ in range(training.scenes)]
    crops = np.concatenate([cut(plates.photograph(scene.reflectance, 1.0, 0, rng)) for scene in scenes])
    truth = [scratched for scene in scenes for scratched in scene.scratched]
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(roughness(crops), truth)


def cut(image: plates.Image, shift: int = 0) -> Crops:
    """Return the four plates of an image from where the fixture holds them, `shift` pixels to the right."""
    starts = (plates.MARGIN + index * plates.PITCH + shift for index in range(plates.PLATES))
    rows = slice(plates.MARGIN, plates.MARGIN + plates.SIZE)
    return np.stack([np.roll(image, -start, axis=1)[rows, : plates.SIZE] for start in starts])


def probabilities(crops: Crops, training: Training) -> Probabilities:
    """Return how likely each plate is good, and scratched."""
    found: Probabilities = model(training).predict_proba(roughness(crops))
    return found
