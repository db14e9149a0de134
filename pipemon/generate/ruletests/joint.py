"""The values that the conditions of a failure mode have at once in its tests.

Each has its own: well within its threshold, just before it, just beyond, far beyond. Those of one distribution must fit
together: a median is under the 99th percentile, and shares of categories are no more than all. So the other conditions
have the first of their values with which that one can be as it is asked; what can not be is no case.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pipemon.generate.ruletests.distributions import beside_share, possible, quantile_of
from pipemon.generate.ruletests.values import Values, compared_with, mean_of_all, tested_values
from pipemon.spec.latency import bound_share
from pipemon.spec.model import FailureMode, Spec
from pipemon.spec.subject import by_subject

Choices = tuple[float, ...]
"""Values that a condition may have, the best first."""
Told = tuple[float, ...]
"""The value of each condition."""


@dataclass(frozen=True)
class Joint:
    """What the tests have the conditions' values be, together: each method returns None where that can not be."""

    spec: Spec
    mode: FailureMode
    every: tuple[Values, ...]

    def calm(self) -> Told | None:
        """Return values with which the alert is quiet: of none where that can be, or of one where all must hold."""
        if self.mode.combine == "any":
            return self._settled(map(self._usual, self._indices))
        for index in self._indices:
            choices = (self._usual(at) if at == index else self._any(at) for at in self._indices)
            if (found := self._settled(choices)) is not None:
                return found
        return None

    def hold(self) -> Told | None:
        """Return values with which all conditions hold."""
        return self._settled(map(self._holding, self._indices))

    def one(self, index: int, value: float, *, hold: bool, just: bool = False) -> Told | None:
        """Return values of which one is told; all others `hold`, or none does, and is `just` before if it can be."""
        others = self._holding if hold else self._just_calm if just else self._calm
        return self._settled((value,) if at == index else others(at) for at in self._indices)

    def worst(self, index: int, side: int) -> Told:
        """Return values as bad as can be, of one condition on a side: those that must not count."""
        choices = (
            (self.every[at].worst[side if at == index else 0], *self._holding(at), *self._calm(at))
            for at in self._indices
        )
        return self._settled(choices) or tuple(values.good for values in self.every)

    @property
    def _indices(self) -> range:
        return range(len(self.every))

    def _usual(self, index: int) -> Choices:
        """Return what a condition may be as usual: of what is compared with the hour before, just that."""
        past = self.mode.conditions[index].reference
        return (self.every[index].good,) if past is not None and past.hold else self._calm(index)

    def _calm(self, index: int) -> Choices:
        own = self.every[index]
        return tuple(value for value in (own.good, *own.before, *self._of_others(index)) if own.is_calm(value))

    def _any(self, index: int) -> Choices:
        usual, past = self._usual(index), self.mode.conditions[index].reference
        return usual if past is not None and past.hold else (*usual, *self._holding(index))

    def _just_calm(self, index: int) -> Choices:
        return (*self.every[index].before, *self._calm(index))

    def _holding(self, index: int) -> Choices:
        own = self.every[index]
        return tuple(value for value in (*own.beyond, *self._of_others(index), *own.worst) if own.holds(value))

    def _of_others(self, index: int) -> Iterable[float]:
        """Yield what the values of the same distribution leave to a condition."""
        conditions = self.mode.conditions
        (group,) = (each for each in by_subject(conditions) if index in each)
        is_share = bound_share(self.spec, self.mode.stage, conditions[index]) is not None
        for at in group:
            if at == index:
                continue
            of_share = bound_share(self.spec, self.mode.stage, conditions[at]) is not None
            if is_share == of_share:
                yield from self.every[at].every
            elif is_share:
                # More of them take longer than that, or fewer.
                above = 1 - quantile_of(conditions[at])
                yield from (round(above / 2, 6), round((1 + above) / 2, 6))
            else:
                yield from beside_share(self.spec, self.mode, conditions[at])

    def _settled(self, choices: Iterable[Choices]) -> Told | None:
        """Return the first values that can be at once."""
        conditions, wanted = self.mode.conditions, tuple(choices)
        found: dict[int, float] = {}

        def settle(group: tuple[int, ...], known: tuple[float, ...]) -> tuple[float, ...] | None:
            if len(known) == len(group):
                return known
            for value in wanted[group[len(known)]]:
                values = (*known, value)
                told = [(conditions[at], each) for at, each in zip(group, values, strict=False)]
                if possible(self.spec, self.mode, told) and (rest := settle(group, values)) is not None:
                    return rest
            return None

        for group in by_subject(conditions):
            values = settle(group, ())
            if values is None:
                return None
            found.update(zip(group, values, strict=True))
        for index, condition in enumerate(conditions):
            # What is a multiple of the mean over all goes with it: in as many digits as are printed.
            if (whole := mean_of_all(self.mode, condition)) is not None:
                found[index] = float(f"{found[index] * found[whole] / compared_with(self.mode, condition):.4g}")
        return tuple(found[index] for index in self._indices)


def joint_of(spec: Spec, mode: FailureMode) -> Joint:
    """Return what the tests of a failure mode have its conditions' values be."""
    return Joint(spec, mode, tuple(tested_values(spec, mode, condition) for condition in mode.conditions))


def one_distribution(mode: FailureMode) -> bool:
    """Tell whether two of its conditions are of one distribution."""
    return any(len(group) > 1 for group in by_subject(mode.conditions))
