"""The bins that running features must have, for what is compared with their baseline to mean anything."""

from __future__ import annotations

from typing import NamedTuple

from pipemon.generate.promql import Matcher, one_of
from pipemon.spec.baseline import feature_key
from pipemon.spec.model import Spec


class BaselineBins(NamedTuple):
    """A feature's bins, `bins` their hash, in the baseline of a version; "" for all but `others`, which have theirs."""

    stage: str
    direction: str
    feature: str
    bins: str
    version: str = ""
    others: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The feature as a stage names it: `input.level`."""
        return f"{self.direction}.{self.feature}"

    def holds_for(self, version: str) -> bool:
        """Tell whether a running version is compared with this baseline."""
        return version == self.version if self.version else version not in self.others

    def matchers(self) -> tuple[Matcher, ...]:
        """Return what selects the running features that have other bins."""
        place = (("stage", self.stage), ("direction", self.direction), ("feature", self.feature))
        which = (Matcher("version", "=", self.version),) if self.version else ()
        if not self.version and self.others:
            beside = one_of("version", self.others)
            which = (Matcher("version", {"=": "!=", "=~": "!~"}[beside.op], beside.value),)
        return (*(Matcher(label, "=", value) for label, value in place), *which, Matcher("bins", "!=", self.bins))


def baseline_bins(spec: Spec) -> tuple[BaselineBins, ...]:
    """Return the bins of all features whose baseline knows their shares: without them nothing is compared by bins."""
    found = []
    for stage in spec.stages:
        versions = [baseline.version_of(stage.name) for baseline in spec.baselines]
        others = tuple(version for version in versions if version)
        for baseline, version in zip(spec.baselines, versions, strict=True):
            for feature in stage.features:
                known = baseline.features.get(feature_key(stage.name, feature.direction, feature.name))
                if known is not None and known.shares:
                    place = (stage.name, feature.direction, feature.name, known.bins)
                    found.append(BaselineBins(*place, version, () if version else others))
    return tuple(found)
