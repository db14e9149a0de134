"""The inspection beside the line, on a tablet: the camera feeds the crop, and the crop the classifier.

Importing it trains nothing: `pipemon generate` imports it only for its stages, features and budgets.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import classifier
import numpy as np
import plates
from classifier import Crops, Probabilities, Training
from plates import Image, Scene

import pipemon
from pipemon.features import Category, Feature, brightness, confidence, contrast, sharpness

BASELINE = Path(__file__).with_name("factory.baseline.json")
SURE = 0.75
"""Probability from which a verdict counts; the other plates go to a person."""

STABLE, CANARY = Training(), Training(scenes=200, seed=8)


@dataclass(frozen=True)
class Setup:
    """How the station is set up, and what breaks it.

    `light` is that of the lamps, 1 as installed; `blur` the dirt on the lens; with `frozen` the camera sends its
    last frame again. `shift` is how far the crop is beside the plates, in pixels; `wait` what the tablet loses to
    other work, in seconds a frame. `canary` is the candidate's training, which gets every fourth frame.
    """

    light: float = 1.0
    blur: int = 0
    frozen: bool = False
    shift: int = 0
    wait: float = 0.0
    canary: Training = CANARY


class Camera:
    """The camera: its set-up, its noise and its last frame."""

    def __init__(self, seed: int = 0) -> None:
        self.setup = Setup()
        self._rng = np.random.default_rng(seed)
        self._last: Image | None = None

    def photograph(self, scene: Scene) -> Image:
        """Return a frame; of a frozen camera, the one before."""
        if self._last is None or not self.setup.frozen:
            self._last = plates.photograph(scene.reflectance, self.setup.light, self.setup.blur, self._rng)
        return self._last


class Change:
    """How much a frame differs from the one before it: mean absolute difference, in levels of grey.

    A live camera has its noise at least. The first frame has nothing before it.
    """

    def __init__(self) -> None:
        self._last: Image | None = None

    def __call__(self, frame: Image) -> float | None:
        last, self._last = self._last, frame
        return None if last is None else float(np.abs(frame.astype(np.int16) - last).mean())


def plate_share(crops: Crops) -> float:
    """Return the share of the crops that is metal rather than belt, 0 to 1, in whatever light."""
    return float((crops > 0.5 * np.quantile(crops, 0.9)).mean())


def verdict(probability: Probabilities) -> str:
    """Return "good", "scratched" or "unsure" for one plate."""
    return "unsure" if probability.max() < SURE else ("good", "scratched")[int(probability.argmax())]


def is_unsure(probability: Probabilities) -> bool:
    """Tell whether a person has to look."""
    return bool(probability.max() < SURE)


camera = Camera()

factory = pipemon.Pipeline(
    "factory", version="1.0.0", budget="110ms", baseline=BASELINE, feedback=("missed", "false_alarm")
)


@factory.stage("camera", output=Feature("change", Change(), unit="levels"), budget="50ms")
def take_picture(scene: Scene) -> Image:
    """Return a frame of four plates."""
    return camera.photograph(scene)


@factory.stage(
    "crop",
    after="camera",
    inputs={"frame": [brightness(), contrast(), sharpness()]},
    output=Feature("plate_share", plate_share, unit="ratio"),
    budget="20ms",
)
def cut_out(frame: Image) -> Crops:
    """Return the plates of a frame."""
    return classifier.cut(frame, camera.setup.shift)


_OUTPUT = [
    confidence(),
    Category("verdict", verdict, categories=("good", "scratched", "unsure")),
    Feature("scratch_probability", lambda probability: probability[1], unit="ratio"),
]


def _model(training: Training) -> pipemon.Model:
    return pipemon.Model(code=classifier.roughness, params=training.params, data="drawn-plates")


@factory.stage(
    "classifier",
    after="crop",
    batch="crops",
    one_to_one=True,
    output=_OUTPUT,
    null=is_unsure,
    budget="40ms",
    model=_model(STABLE),
)
def classify(crops: Crops) -> Probabilities:
    """Return how likely each plate is good, and scratched."""
    if camera.setup.wait:
        time.sleep(camera.setup.wait)
    return classifier.probabilities(crops, STABLE)


@factory.stage(
    "classifier",
    after="crop",
    batch="crops",
    one_to_one=True,
    output=_OUTPUT,
    null=is_unsure,
    budget="40ms",
    model=_model(CANARY),
    track="canary",
)
def classify_by_candidate(crops: Crops) -> Probabilities:
    """Return what the candidate says."""
    if camera.setup.wait:
        time.sleep(camera.setup.wait)
    return classifier.probabilities(crops, camera.setup.canary)


@factory.run
def inspect(scene: Scene, by_candidate: bool = False) -> Probabilities:
    """Return how likely each of a scene's plates is good, and scratched."""
    crops = cut_out(take_picture(scene))
    return classify_by_candidate(crops) if by_candidate else classify(crops)
