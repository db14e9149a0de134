"""How the script of an example runs: until it is told to stop, and with one sentence where its port is taken."""

from __future__ import annotations

import signal
import urllib.request

import pytest

from pipemon.demo.exposing import exposed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_metrics_are_there_until_it_is_told_to_stop(number: signal.Signals) -> None:
    usual = signal.getsignal(number)
    with exposed(0) as (stop, address):
        with urllib.request.urlopen(address, timeout=30) as answer:
            assert answer.status == 200
        assert not stop.is_set()
        signal.raise_signal(number)
        assert stop.is_set()
    assert signal.getsignal(number) is usual


def test_where_the_port_is_taken_one_sentence_says_so() -> None:
    with exposed(0) as (_, address):
        port = int(address.split(":")[2].split("/")[0])
        with pytest.raises(SystemExit, match=rf"Address already in use.*127\.0\.0\.1:{port}") as told, exposed(port):
            pass
    assert "\n" not in str(told.value)
