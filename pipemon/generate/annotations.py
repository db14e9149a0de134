"""What an alert tells the on-call: the team's words, the value against the threshold, what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace

from pipemon.generate.arrived import arrived
from pipemon.generate.drift.onset import onset_of
from pipemon.generate.drift.together import moved_query
from pipemon.generate.expressions import narrowed
from pipemon.generate.last_run import overdue_words
from pipemon.generate.measures import measure
from pipemon.generate.overrun import UNKNOWN, overrun_query, overrun_words, tells
from pipemon.generate.promql import Aggregate, Binary, Call, Matcher, literal, quote, text
from pipemon.generate.recordings import Measure, here
from pipemon.spec.cusum import summed
from pipemon.spec.latency import bound_share
from pipemon.spec.model import STABLE, Condition, FailureMode, Spec
from pipemon.spec.signals import DRIFT, OF_DRIFT, SHIFT, SIGNALS, TOGETHER, signal_in
from pipemon.units import duration, figure

SENTENCE_ENDS = (".", "!", "?", "\u2026", "\u3002", "\uff01", "\uff1f")
"""What ends a sentence, also in Chinese and Japanese."""


def plain(words: str) -> str:
    """Return a person's text so that the alert's template prints it as it is."""
    # A brace at the end would join one of the template behind it.
    return words if "{" not in words else re.sub(r"\{{2,}|\{$", lambda braces: f'{{{{ "{braces[0]}" }}}}', words)


def summary(what: str) -> str:
    """Return what can go wrong, in a person's words, as a sentence: a capital first, a full stop last."""
    text = what[:1].upper() + what[1:]
    return plain(text if text.endswith(SENTENCE_ENDS) else f"{text}.")


def as_read(template: str) -> str:
    """Return what the alert's template prints for what `plain` made."""
    return template if "{" not in template else re.sub(r'\{\{ "(\{+)" \}\}', r"\1", template)


def go_string(text: str) -> str:
    """Return a text as a string of Go's templates."""
    return f"`{text}`" if "`" not in text else json.dumps(text, ensure_ascii=False)


def describe(spec: Spec, mode: FailureMode, condition: Condition) -> tuple[str, str]:
    """Return what is measured, in words, and the threshold: `null outputs of vad`, `above 5%`."""
    where = mode.stage or "the pipeline"
    threshold = condition.threshold.words if condition.threshold else ""
    if condition.reference == STABLE:
        where = f"the canary of {where}"
    within = f" in {condition.slice}" if condition.slice else ""
    signal, feature = signal_in(spec, condition.signal), condition.feature
    side = f"{where} {feature.direction}" if feature is not None else where
    name = feature.name if feature is not None else ""
    match signal.argument:
        case "quantile":
            share = bound_share(spec, mode.stage, condition)
            if share is None:
                return f"{condition.argument} {signal.words} of {where}", threshold
            allowed = f"{share.allowed * 100:.4g}%"
            return (
                f"calls of {where} over {_short(share.bound)}",
                f"above the {allowed} that {condition.argument} leaves",
            )
        case "burned":
            named = SIGNALS[condition.argument]
            what = "calls over budget" if named.name == "latency" else named.words
        case "summed":
            of_what, _ = describe(spec, mode, summed(condition))
            return f"{signal.words} {of_what}", threshold
        case "feature_quantile":
            what = f"{condition.argument} {name}"
        case "statistic":
            since = f" from {condition.against.words}" if condition.against else ""
            what = f"drift of {name}{since} ({condition.argument})"
        case "shifted":
            what = f"{signal.words} the {condition.argument} of {name}"
        case "category":
            what = f"share of {condition.argument} in {name}"
        case "feature" | "feature_category" if signal.unit == "ratio":
            what = f"{signal.words} in {name}"
        case "feature" | "confidence":
            what = f"{signal.words} {name}"
        case "feedback" if condition.slice:
            what = f"{condition.argument} in all feedback"
        case "feedback":
            what = f"{condition.argument} per call"
        case "score" | "candidate":
            what = f"{signal.words} {condition.argument}"
        case _ if condition.signal == "no_calls" and spec.schedule is not None:
            return f"no successful run of {where}", f"for {duration(spec.schedule.limit)}"
        case _:
            what = signal.words
    return f"{what} of {side}{within}", threshold


def _short(seconds: float) -> str:
    return f"{seconds * 1000:g}ms" if seconds < 1 else f"{seconds:g}s"


_OF_STATISTICS = {"wasserstein": "sd", "chi2": ""}
"""Units of statistics of drift that are not as the others: chi2 is in the thousands where a bin was empty."""
_SMALL = ("none", "sd", "dB", "dBFS")
"""Units of which there are never thousands."""


def unit(spec: Spec, mode: FailureMode, condition: Condition) -> str:
    """Return the unit of a condition's value: `ratio`, `seconds`, `age`, `sd` or that of the signal or feature."""
    if condition.signal == "latency":
        return "age" if bound_share(spec, mode.stage, condition) is None else "ratio"
    if condition.signal == DRIFT and condition.argument in _OF_STATISTICS:
        return _OF_STATISTICS[condition.argument]
    if condition.signal == "promql":
        return ""
    signal = signal_in(spec, condition.signal)
    if signal.unit == "feature" and condition.feature is not None:
        return condition.feature.unit
    if signal.unit == "score" and mode.stage is not None:
        return {score.name: score.unit for score in spec.stage(mode.stage).scores}.get(condition.argument, "ratio")
    return "age" if signal.unit == "seconds" else signal.unit


def template(value: str, unit: str) -> str:
    """Return the Go template that prints `value` (`$value`, or `.` in a block) in human units."""
    if unit == "ratio":
        return f"{{{{ {value} | humanizePercentage }}}}"
    if unit == "age":
        return f"{{{{ {value} | humanizeDuration }}}}"
    if unit == "bytes":
        return f"{{{{ {value} | humanize1024 }}}}B"
    if unit == "items":
        # To the last one, as a threshold is written.
        return f'{{{{ {value} | printf "%.0f" }}}} items'
    suffix = {"": "", "none": "", "count": "", "seconds": "s"}.get(unit, f" {plain(unit)}")
    return f'{{{{ {value} | printf "%.4g" }}}}{suffix}' if unit in _SMALL else f"{_figure(value)}{suffix}"


def _figure(value: str, digits: int = 4) -> str:
    """Return the template that prints what `figure` does."""
    value = f"({value})" if " " in value else value
    whole = 10**digits - 0.5
    form = f'(or (and (or (ge {value} {whole}) (le {value} -{whole})) "%.0f") "%.{digits}g")'
    return f"{{{{ printf {form} {value} }}}}"


def printed(value: float, unit: str) -> str:
    """Return what `template` prints for `value`, for the rule tests."""
    if unit == "ratio":
        return f"{value * 100:.4g}%"
    if unit == "age":
        return _humanized(value)
    if unit == "bytes":
        return _humanized_size(value)
    if unit == "items":
        return f"{value:.0f} items"
    return figure(value) + {"": "", "none": "", "count": "", "seconds": "s"}.get(unit, f" {unit}")


def _humanized_size(size: float) -> str:
    """Return what Prometheus' humanize1024 prints for a size, and the unit."""
    prefixes = ("", "ki", "Mi", "Gi", "Ti", "Pi")
    power = next((power for power in range(len(prefixes)) if abs(size) < 1024 ** (power + 1)), len(prefixes) - 1)
    return f"{size / 1024**power:.4g}{prefixes[power]}B"


def _humanized(seconds: float) -> str:
    """Return what Prometheus' humanizeDuration prints."""
    for prefix, scale in (("m", 1e3), ("u", 1e6), ("n", 1e9)):
        if 0 < seconds < 1 <= seconds * scale:
            return f"{seconds * scale:.4g}{prefix}s"
    if seconds < 60:
        return f"{seconds:.4g}s"
    minutes, left = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "m"))
    begin = next((index for index, (count, _) in enumerate(parts) if count), 2)
    return " ".join(f"{count}{letter}" for count, letter in (*parts[begin:], (left, "s")))


def sentence(spec: Spec, mode: FailureMode, condition: Condition, value: str, then: str = "", values: str = "") -> str:
    """Return one condition as a sentence with `value` in it, `then`, which it is compared with, and on how many values.

    These are what `on_values` says.
    """
    what, threshold = describe(spec, mode, condition)
    over = spec.over(mode)
    if condition.signal == "no_calls" and spec.schedule is not None:
        return overdue_words(spec.schedule, mode.stage)
    if condition.signal == "no_calls":
        where = f"The stage {mode.stage}" if mode.stage else "The pipeline"
        if spec.link:
            away = f"or nothing was heard of it for {duration(spec.link)}"
            return f"{where} was not called for {duration(mode.window)}, {away}."
        return f"{where} was not called for {duration(mode.window)}, or its series are gone."
    if condition.signal == "promql":
        return f"The expression's value is {value}." if value else "The written expression holds."
    if condition.burns or condition.tolerated or condition.signal == SHIFT:
        return f"{what[:1].upper()}{what[1:]}: {value}, {plain(threshold)}."
    if condition.signal == DRIFT:
        threshold = f"{threshold} and more than chance explains"
    compared = f"'s {then}" if then else ""
    reference = condition.reference or condition.against
    until = f" After {duration(reference.hold)} it counts as normal." if reference and reference.hold else ""
    return f"{what[:1].upper()}{what[1:]}: {value} {over}{values}, {plain(threshold)}{compared}.{until}"


def on_values(number: str) -> str:
    """Return on how many values a verdict rests, in words behind what it is over."""
    return f" on {number} values"


def description(spec: Spec, mode: FailureMode, *, values: bool = True) -> str:
    """Return the template of an alert's description; without `values` it does not ask on how many of them it rests."""
    if len(mode.conditions) == 1:
        only = mode.conditions[0]
        found = measure(spec, mode, only)
        value, then = template("$value", unit(spec, mode, only)), _then(spec, mode, only, found)
        number = _values(spec, found) if values and only.signal == DRIFT and found is not None else ""
        return sentence(spec, mode, only, value, then, number)
    if mode.signals == {"promql"}:
        # The value of joined expressions is that of the first which holds.
        every = mode.combine == "all"
        holds = "All written expressions hold; the first one's" if every else "A written expression holds; its"
        return f"{holds} value is {template('$value', '')}."
    lines = []
    for condition in mode.conditions:
        found = measure(spec, mode, condition)
        value = ""
        if found is not None and condition.threshold is not None:
            value = _queried(spec, mode, found, unit(spec, mode, condition))
        lines.append(sentence(spec, mode, condition, value, _then(spec, mode, condition, found)))
    return joined(mode, lines)


def _then(spec: Spec, mode: FailureMode, condition: Condition, found: Measure | None) -> str:
    """Return the template of what a value is compared with, or ""."""
    if found is None or found.reference is None:
        return ""
    return _queried(spec, mode, found.reference, unit(spec, mode, condition))


def _values(spec: Spec, found: Measure) -> str:
    """Return the template that tells on how many values a drift's verdict rests: of the version that is furthest."""
    assert found.count is not None
    (value,), (count,) = found.value.parts, found.count.parts
    place = tuple(Matcher(label, "=", "%s") for label in spec.told_apart_by)
    furthest = Call("topk", (1.0, value.series(*found.matchers, *place)))
    # Its place is told once, and `and` finds no other.
    counted = Binary("and", count.series(*found.count_matchers), furthest)
    words = on_values('{{ . | first | value | printf "%.0f" }}')
    return f"{{{{ with {_asked(spec, text(counted))} }}}}{words}{{{{ end }}}}"


def joined(mode: FailureMode, sentences: Sequence[str]) -> str:
    """Return the sentences of a failure mode's conditions as one text."""
    return f" {'And' if mode.combine == 'all' else 'Or'}: ".join(sentences)


def _queried(spec: Spec, mode: FailureMode, found: Measure, unit: str) -> str:
    """Return the template that asks for a value: `$value` is that of one condition only."""
    place = tuple(Matcher(label, "=", "%s") for label in spec.told_apart_by)
    here = narrowed(spec, mode, replace(found, matchers=(*found.matchers, *place)))
    query = _asked(spec, text(arrived(spec.labels, here)))
    return f"{{{{ with {query} }}}}{template('. | first | value', unit)}{{{{ else }}}}unknown{{{{ end }}}}"


def _asked(spec: Spec, query: str) -> str:
    """Return a query as a template asks it; `"%s"` stand for the labels that alerts are told apart by."""
    own = spec.told_apart_by
    if not own:
        return f"query {go_string(query)}"
    # %q writes a label's value as PromQL has it, whatever is in it.
    query = query.replace("%", "%%").replace('"%%s"', "%q")
    return f"printf {go_string(query)} {' '.join(f'$labels.{label}' for label in own)} | query"


def overran(spec: Spec, mode: FailureMode) -> str:
    """Return the template that tells which stage overran its budget most, or "" where that is not asked."""
    found = measure(spec, mode, mode.conditions[0]) if tells(spec, mode) else None
    if found is None:
        return ""
    words = overrun_words("{{ .Labels.stage }}", _figure(".Value", 3))
    query = _asked(spec, overrun_query(spec, found.beside[-1]))
    return f"{{{{ with {query} }}}}{{{{ range . }}}}{words}{{{{ end }}}}{{{{ else }}}}{UNKNOWN}{{{{ end }}}}"


_OR_ANYWHERE = '(or ($labels.{} | reReplaceAll "[^a-zA-Z0-9_/-]" ".") ".*")'
"""A label's value as a regular expression, or any where an alert has none."""
NOTHING_UPSTREAM = "Nothing fires upstream."
"""What an alert says where no stage before its own has one."""


def upstream(spec: Spec, mode: FailureMode) -> str:
    """Return the template that tells which stages upstream fire too, the earliest first.

    "" where no stage is upstream, and for silence, which is nobody's effect.
    """
    if any(condition.signal == "no_calls" for condition in mode.conditions):
        return ""
    stages, silent, several = spec.derived("upstream", _all_upstream).get(mode.stage, ((), (), False))
    if not stages:
        return ""
    own = spec.told_apart_by
    # What a person wrote may have lost the labels that say where: then it is told of every place.
    anywhere = bool(own) and "promql" in mode.signals
    place = "".join(f",{label}{'=~' if anywhere else '='}%q" for label in own)
    which = f"pipeline={quote(spec.pipeline)},stage=~{_any(stages)},failure_mode!~{_any([mode.name, *silent])}"
    which = which.replace("%", "%%") if own else which
    query = f'ALERTS_FOR_STATE{{{which}{place}}} and ignoring (alertstate) ALERTS{{alertstate="firing"}}'
    # One that fires in two places, or for two canaries, is told once.
    query = f"sort(min by (stage, failure_mode) ({query}))" if anywhere or several else f"sort({query})"
    asked = f"query {go_string(query)}"
    if own:
        values = (_OR_ANYWHERE.format(label) if anywhere else f"$labels.{label}" for label in own)
        asked = f"printf {go_string(query)} {' '.join(values)} | query"
    each = "{{ if $index }},{{ end }} {{ .Labels.stage }}/{{ .Labels.failure_mode }}"
    each = f"{{{{ range $index, $alert := . }}}}{each}{{{{ end }}}}"
    return (
        f"{{{{ with {asked} }}}}Fires upstream, the earliest first:{each}.{{{{ else }}}}{NOTHING_UPSTREAM}{{{{ end }}}}"
    )


NOTHING_MOVED = "No mean has moved far: look at which values there are more or fewer of."
"""What an alert of drift says where nothing is known to have moved first."""


def origin(spec: Spec, mode: FailureMode) -> str:
    """Return the template that tells where what drifts moved first, "" where only one place could have."""
    moved = onset_of(spec)
    if moved is None or not mode.signals & OF_DRIFT:
        return ""
    own = spec.told_apart_by
    place = (*here(spec, None), *(Matcher(label, "=", "%s") for label in own))
    query = text(Aggregate("max", ("stage", "direction"), moved.origin.series(*place)))
    asked = f"query {go_string(query)}"
    if own:
        query = query.replace("%", "%%").replace('"%%s"', "%q")
        asked = f"printf {go_string(query)} {' '.join(f'$labels.{label}' for label in own)} | query"
    each = "{{ if $index }},{{ end }} the {{ .Labels.direction }} of {{ .Labels.stage }}"
    each = f"{{{{ range $index, $moved := . }}}}{each}{{{{ end }}}}"
    return f"{{{{ with {asked} }}}}Moved first:{each}.{{{{ else }}}}{NOTHING_MOVED}{{{{ end }}}}"


def together(spec: Spec, mode: FailureMode) -> str:
    """Return the template that tells which features of its stage have drifted with it, "" where only one is watched."""
    found = measure(spec, mode, mode.conditions[0]) if mode.signals & OF_DRIFT else None
    if found is not None and TOGETHER not in mode.signals:
        found = found.beside[-1] if found.beside else None
    if found is None:
        return ""
    each = "{{ if $index }},{{ end }} {{ .Labels.direction }}.{{ .Labels.feature }}"
    each = f"{{{{ range $index, $moved := . }}}}{each}{{{{ end }}}}"
    asked = _asked(spec, moved_query(spec, found))
    return f"{{{{ with {asked} }}}}Moved at {plain(mode.stage or '')}, {{{{ len . }}}} in all:{each}.{{{{ end }}}}"


_EFFECTS_NAMED = 5
"""So many of the effects that an alert holds back are named, of a long cascade."""


def holds_back(mode: FailureMode) -> str:
    """Return the failure modes that are not told while this one is: `gibberish, users-repeat-themselves`, or ""."""
    named, more = mode.holds_back[:_EFFECTS_NAMED], len(mode.holds_back) - _EFFECTS_NAMED
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


def _all_upstream(spec: Spec) -> dict[str | None, tuple[tuple[str, ...], tuple[str, ...], bool]]:
    """Return, for each stage and for the whole pipeline, the stages upstream and the failure modes there to leave out.

    A stage that is silent sends nothing on: its silence explains no value further down, and it lasts. Last, whether
    a failure mode there may fire several times in one place: for each canary, or as its written expression says.
    """
    many = {
        mode.stage
        for mode in spec.measurable
        if "promql" in mode.signals or any(each.reference == STABLE for each in mode.conditions)
    }
    silent = [mode for mode in spec.measurable if _may_be_absence(mode)]
    found = {}
    for place in (None, *(stage.name for stage in spec.stages)):
        above = tuple(
            stage.name for stage in spec.stages if place is None or place in spec.downstream.get(stage.name, ())
        )
        found[place] = above, tuple(mode.name for mode in silent if mode.stage in above), not many.isdisjoint(above)
    return found


def _may_be_absence(mode: FailureMode) -> bool:
    return bool(mode.signals & {"no_calls", "promql"})


def _any(names: Sequence[str]) -> str:
    return quote("|".join(map(literal, dict.fromkeys(names))))


def alert_annotations(spec: Spec, mode: FailureMode, dashboard_url: str) -> dict[str, str]:
    """Return an alert's annotations."""
    found = {"summary": summary(mode.what), "description": description(spec, mode)}
    if moved := upstream(spec, mode):
        found["upstream"] = moved
    if first := origin(spec, mode):
        found["origin"] = first
    if others := together(spec, mode):
        found["features_moved"] = others
    if slowest := overran(spec, mode):
        found["overran"] = slowest
    if quiet := holds_back(mode):
        found["holds_back"] = quiet
    if mode.do:
        found["do"] = plain(mode.do)
    if mode.then:
        found["then"] = plain(mode.then.words)
    if mode.runbook:
        found["runbook_url"] = plain(mode.runbook)
    if dashboard_url:
        found["dashboard_url"] = plain(dashboard_url)
    return found
