"""Waiting for an alert: pending and firing in Prometheus, sent by Alertmanager, and resolved again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from pipemon.errors import UnavailableError
from pipemon.prometheus import ActiveAlert, Alertmanager, Prometheus

# Of requests, which are counted when they have ended: `alertmanager_notifications_total` counts attempts.
_SENT = "alertmanager_notification_requests_total"
_FAILED = "alertmanager_notification_requests_failed_total"


@dataclass
class Watch:
    """What became of one alert; seconds since `began` by `clock`, None where it has not come.

    Alertmanager does not tell which alert a notification was about: `notified` is when it had the alert, neither
    held back nor silenced, and had sent more notifications, without a failure, than when the watch began.
    """

    prometheus: Prometheus
    alertmanager: Alertmanager | None
    alert: str
    clock: Callable[[], float] = time.monotonic
    began: float = 0.0
    pending: float | None = None
    firing: float | None = None
    notified: float | None = None
    held_back_by: str = ""
    arrived: bool = False
    """Whether Alertmanager has had it."""

    _sent: float | None = None

    def begin(self) -> None:
        """Begin to count, right before the drill."""
        self._sent = self.notifications()
        self.began = self.clock()

    def check(self) -> None:
        """Raise UnavailableError unless the alert's rule is loaded, well and quiet."""
        rule = [rule for rule in self.prometheus.rules() if rule.name == self.alert]
        if not rule:
            told = "is the generated rule file loaded?"
            raise UnavailableError(f"{self.prometheus.url} has no alert {self.alert}; {told}")
        if rule[0].health == "err":
            raise UnavailableError(f"the rule of {self.alert} can't be evaluated: {rule[0].last_error}")
        if rule[0].alerts:
            raise UnavailableError(f"{self.alert} is {rule[0].alerts[0].state} already; there is nothing to see")

    def look(self) -> None:
        """Look how far it is."""
        states = {alert.state for alert in self._alerts()}
        passed = self.clock() - self.began
        if states and self.pending is None:
            self.pending = passed
        if "firing" in states and self.firing is None:
            self.firing = passed
        if self.firing is None or self.alertmanager is None or self.notified is not None:
            return
        routed = self.alertmanager.alerts()
        names = {alert.fingerprint: alert.labels.get("alertname", "") for alert in routed}
        mine = [alert for alert in routed if alert.labels.get("alertname") == self.alert]
        holders = [names.get(each, each) for alert in mine for each in alert.inhibited_by]
        silenced = [each for alert in mine for each in alert.silenced_by]
        self.arrived = self.arrived or bool(mine)
        self.held_back_by = ", ".join(dict.fromkeys(holders)) or ("a silence" if silenced else "")
        if mine and not self.held_back_by and self._sent is not None:
            now = self.notifications()
            if now is not None and now > self._sent:
                self.notified = passed

    def unsent(self) -> str:
        """Return why it was not notified, "" where it was, does not fire or is held back."""
        if self.firing is None or self.notified is not None or self.held_back_by or self.alertmanager is None:
            return ""
        if self.arrived:
            return "Alertmanager had it, and sent no notification without a failure: its log says to which receiver"
        return "Alertmanager has not had it: does Prometheus name it under `alerting`?"

    def gone(self) -> bool:
        """Tell whether the alert has resolved."""
        if self._alerts():
            return False
        if self.alertmanager is None:
            return True
        return all(alert.labels.get("alertname") != self.alert for alert in self.alertmanager.alerts())

    def _alerts(self) -> list[ActiveAlert]:
        return [alert for rule in self.prometheus.rules() if rule.name == self.alert for alert in rule.alerts]

    def notifications(self) -> float | None:
        """Return how many notifications Alertmanager has sent, those that failed left out."""
        if self.alertmanager is None:
            return None
        sums = {_SENT: 0.0, _FAILED: 0.0}
        for line in self.alertmanager.metrics().splitlines():
            name, _, rest = line.partition("{")
            if name in sums:
                sums[name] += float(rest.rpartition(" ")[2])
        return sums[_SENT] - sums[_FAILED]
