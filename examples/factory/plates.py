"""Draws what passes under the camera: brushed metal plates on a dark belt, some of them scratched.

No photograph is used. A scene is what reflects light; the camera makes grey levels of it, with its own noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Reflectance = NDArray[np.float64]
"""Share of the light that each place reflects, 0 to 1: shape (HEIGHT, WIDTH)."""
Image = NDArray[np.uint8]
"""Levels of grey, 0 to 255: shape (HEIGHT, WIDTH)."""

PLATES = 4
"""Plates in a scene, side by side."""
PITCH = 64
"""Pixels from one plate to the next."""
SIZE = 48
"""Pixels of a plate's side."""
MARGIN = (PITCH - SIZE) // 2
HEIGHT, WIDTH = PITCH, PITCH * PLATES

SCRATCHED = 0.25
"""Share of plates with a scratch."""

_BELT, _METAL, _BRUSHED = 0.12, 0.6, 0.012
_NOISE = 2.0
"""Standard deviation of the sensor's noise, in levels of grey: the same in any light."""


@dataclass(frozen=True)
class Scene:
    """What lies under the camera, and which of its plates are scratched in truth."""

    reflectance: Reflectance
    scratched: tuple[bool, ...]


def draw(rng: np.random.Generator) -> Scene:
    """Draw four plates; each has a scratch with the chance `SCRATCHED`."""
    reflectance = np.full((HEIGHT, WIDTH), _BELT)
    truth = tuple(bool(scratched) for scratched in rng.random(PLATES) < SCRATCHED)
    for index, scratched in enumerate(truth):
        plate = _METAL + rng.normal(0, 0.02) + _BRUSHED * rng.normal(size=(SIZE, 1)) * np.ones((SIZE, SIZE))
        if scratched:
            _scratch(plate, rng)
        left = MARGIN + index * PITCH
        reflectance[MARGIN : MARGIN + SIZE, left : left + SIZE] = plate
    return Scene(np.clip(reflectance, 0, 1), truth)


def _scratch(plate: NDArray[np.float64], rng: np.random.Generator) -> None:
    """Draw a line of 15 to 35 pixels at any angle: bright where it catches the light."""
    length, angle = rng.uniform(15, 35), rng.uniform(0, np.pi)
    along = np.linspace(-length / 2, length / 2, 2 * int(length))
    middle = rng.uniform(18, SIZE - 18, size=2)
    rows = np.clip(np.rint(middle[0] + along * np.sin(angle)), 2, SIZE - 3).astype(int)
    columns = np.clip(np.rint(middle[1] + along * np.cos(angle)), 2, SIZE - 3).astype(int)
    plate[rows, columns] += rng.uniform(0.03, 0.12)


def photograph(reflectance: Reflectance, light: float, blur: int, rng: np.random.Generator) -> Image:
    """Return the levels of grey that the sensor gives.

    `light` is that of the lamps, 1 as they were set up. `blur` is how many times the lens smears each pixel over its
    neighbours: 0 is clean.
    """
    seen = reflectance * 255 * light
    for _ in range(blur):
        padded: NDArray[Any] = np.pad(seen, 1, mode="edge")
        seen = (padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] + padded[1:-1, 1:-1]) / 5
    image: Image = np.clip(np.rint(seen + rng.normal(0, _NOISE, seen.shape)), 0, 255).astype(np.uint8)
    return image
