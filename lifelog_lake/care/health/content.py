"""The rule ``content``: rows that hold nothing are no capture."""

from __future__ import annotations

from collections.abc import Iterator

from lifelog_lake.care.facts import DeviceFacts, Spell, covered
from lifelog_lake.care.health.model import Finding
from lifelog_lake.care.health.rules_file import Rules
from lifelog_lake.care.health.words import clock_time
from lifelog_lake.clock import US_PER_S

_SAYS = {
    "black": ("screen", "The screen of {} has given nothing but black frames since {}."),
    "silent": ("audio", "The microphone of {} has given nothing but digital silence since {}."),
    "frozen": (
        "window",
        "The window of {} has been the same since {} while its screen went on changing.",
    ),
}
_HINT = {
    "black": "Is the display on, and may lifelog capture it? If it isn't wanted, set "
    "[collectors.screen] enabled = false.",
    "silent": "Is it muted, or not allowed to this program? If sound isn't wanted, set "
    "[collectors.audio] enabled = false.",
    "frozen": "Start aw-watcher-window there again.",
}


def content(device: DeviceFacts, rules: Rules) -> Iterator[Finding]:
    """What the newest rows lack, if for too long while somebody was there."""
    for spell in device.blanks:
        limit_s = rules.content.frozen_s if spell.state == "frozen" else rules.content.after_s
        if not limit_s or spell.end is None or _counted_us(device, spell) <= limit_s * US_PER_S:
            continue
        stream, words = _SAYS[spell.state]
        yield Finding(
            rule="content",
            severity=rules.content.severity,
            device=device.device,
            stream=stream,
            says=words.format(device.device, clock_time(spell.start)),
            hint=_HINT[spell.state],
            since=spell.start,
        )


def _counted_us(device: DeviceFacts, spell: Spell) -> int:
    """How much of a spell counts: a display may go dark while nobody is there."""
    assert spell.end is not None
    excused = [*device.paused, *device.suspended, *device.off]
    if spell.state != "silent":
        excused += [one for one in device.presence if one.state == "afk"]
    return spell.end - spell.start - covered(excused, spell.start, spell.end)
