"""Print how far each fault moves what is measured: where the thresholds come from.

python distances.py
"""

from __future__ import annotations

import warnings
from statistics import fmean, pstdev

import classifier
import inspection
import numpy as np
import plates
from disturbances import FAULTS, set_up
from inspection import Setup

from pipemon.features import brightness, contrast, sharpness

FRAMES = 150
Measured = dict[str, list[float]]

_FRAME = {"brightness": brightness().extractor, "contrast": contrast().extractor, "sharpness": sharpness().extractor}


def measure(setup: Setup, frames: int = FRAMES, *, candidate: bool = False) -> Measured:
    """Return each feature's values over frames under a set-up; nothing is recorded or exported.

    `missed` and `rejected` are, for each frame, scratched plates passed as good and good ones rejected.
    """
    camera, rng, change = inspection.Camera(), np.random.default_rng(1), inspection.Change()
    found: Measured = {
        name: [] for name in (*_FRAME, "change", "plate_share", "confidence", "unsure", "missed", "rejected")
    }
    training = setup.canary if candidate else inspection.STABLE
    for number in range(frames):
        scene = plates.draw(rng)
        camera.setup = setup if number else Setup(light=setup.light, blur=setup.blur)
        frame = camera.photograph(scene)
        crops = classifier.cut(frame, setup.shift)
        probabilities = classifier.probabilities(crops, training)
        for name, extract in _FRAME.items():
            found[name].append(float(extract(frame)))  # type: ignore[arg-type]
        if (moved := change(frame)) is not None:
            found["change"].append(moved)
        found["plate_share"].append(inspection.plate_share(crops))
        verdicts = list(zip(map(inspection.verdict, probabilities), scene.scratched, strict=True))
        found["confidence"] += probabilities.max(axis=1).tolist()
        found["unsure"].append(sum(said == "unsure" for said, _ in verdicts) / plates.PLATES)
        found["missed"].append(sum(scratched and said == "good" for said, scratched in verdicts))
        found["rejected"].append(sum(not scratched and said == "scratched" for said, scratched in verdicts))
    return found


def main() -> None:
    """Print a table."""
    good = measure(Setup())
    print(f"{'':<18}" + "".join(f"{name:>13}" for name in good))
    print(f"{'good: mean':<18}" + "".join(f"{fmean(values):>13.4g}" for values in good.values()))
    print(f"{'good: sd':<18}" + "".join(f"{pstdev(values):>13.2g}" for values in good.values()))
    for name in FAULTS:
        found = measure(set_up(name), candidate=name == "canary_worse")
        print(f"{name:<18}" + "".join(f"{fmean(values):>13.4g}" for values in found.values()))


if __name__ == "__main__":
    warnings.simplefilter("error")
    main()
