"""The temporal join: what of some rows happened while others did."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import polars as pl

from lifelog_lake.errors import UsageError

_MOMENT = timedelta(microseconds=1)
_NONE = timedelta(0)


def during(
    target: pl.DataFrame | pl.LazyFrame,
    *conditions: pl.DataFrame | pl.LazyFrame,
    within: timedelta = _NONE,
    by: str | Sequence[str] = (),
) -> pl.DataFrame:
    """The rows of ``target``, cut to the times at which every condition holds; in order of ``at``.

    All frames have the columns ``at`` and ``end`` (aware times, as from a scan or a timeline). A
    condition holds from ``at`` of any of its rows until before its ``end``; overlapping rows count
    once. A row of the target that lasts while a condition comes and goes becomes several, each
    with its own ``at`` and ``end`` and otherwise alike, so that sums of ``end - at`` are right. A
    row without an end, or that ends as it begins, is a moment: it stays if all conditions hold
    then.

    ``within`` lets each row of a condition hold that much earlier and later: by it a moment, such
    as a note, can be a condition. ``by`` names columns in which the condition has to agree with
    the target, e.g. ``"device"``; without it any row holds for all.

    >>> during(lake.scan("screen"), notes, within=timedelta(minutes=5))

    Raises :class:`~lifelog_lake.errors.UsageError` for a frame that lacks a column, or whose times
    have no zone.
    """
    keys = [by] if isinstance(by, str) else list(by)
    rows = _checked(target, keys)
    for condition in conditions:
        held = _merged(_checked(condition, keys), rows.schema["at"], within, keys)
        rows = _cut(rows, held, keys)
    return rows.sort("at", maintain_order=True)


def _checked(frame: pl.DataFrame | pl.LazyFrame, keys: Sequence[str]) -> pl.DataFrame:
    there = frame.collect_schema().names()
    if missing := [name for name in ("at", "end", *keys) if name not in there]:
        raise UsageError(
            f"A frame has no column '{missing[0]}'.",
            hint="Give rows of a scan or a timeline: at and end say when each of them was.",
        )
    rows = frame.lazy().collect()
    zone = rows.schema["at"]
    for name in ("at", "end"):
        type_ = rows.schema[name]
        none = name == "end" and type_ == pl.Null
        if not none and not (isinstance(type_, pl.Datetime) and type_.time_zone):
            raise UsageError(
                f"The column '{name}' has no times with a zone: it is {type_}.",
                hint=f"For local times: pl.col('{name}').dt.replace_time_zone('Europe/Berlin').",
            )
    assert isinstance(zone, pl.Datetime)
    return rows.cast({name: pl.Datetime("us", zone.time_zone) for name in ("at", "end")})


def _merged(
    condition: pl.DataFrame, type_: pl.DataType, within: timedelta, keys: Sequence[str]
) -> pl.DataFrame:
    """When a condition holds: spans that neither overlap nor touch, in their order a key."""
    spans = condition.select(
        *keys,
        at=pl.col("at").cast(type_) - within,
        end=pl.coalesce("end", "at").cast(type_) + within,
    ).filter(pl.col("end") > pl.col("at"))
    spans = spans.sort(*keys, "at")
    before = pl.col("end").cum_max().shift(1)
    before = before.over(keys) if keys else before
    begins = (pl.col("at") > before).fill_null(value=True)
    return (
        spans.with_columns(span=begins.cum_sum())
        .group_by(*keys, "span", maintain_order=True)
        .agg(pl.col("at").min(), pl.col("end").max())
    )


def _cut(rows: pl.DataFrame, held: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    spans = _apart(held, keys)
    parts = [rows.clear()]
    for key, part in _apart(rows, keys).items():
        if (of_key := spans.get(key)) is None:
            continue
        until = part.select(pl.max_horizontal(pl.col("end"), pl.col("at") + _MOMENT)).to_series()
        pieces = (
            part.with_columns(
                _first=of_key["end"].search_sorted(part["at"], side="right"),
                _last=of_key["at"].search_sorted(until, side="left"),
            )
            .filter(pl.col("_last") > pl.col("_first"))
            .with_columns(_span=pl.int_ranges("_first", "_last"))
            .explode("_span")
        )
        begun, ended = (of_key[name].gather(pieces["_span"]) for name in ("at", "end"))
        parts.append(
            pieces.with_columns(
                at=pl.max_horizontal(pl.col("at"), begun),
                end=pl.when(pl.col("end").is_not_null()).then(
                    pl.min_horizontal(pl.col("end"), ended)
                ),
            ).select(rows.columns)
        )
    return pl.concat(parts)


def _apart(frame: pl.DataFrame, keys: Sequence[str]) -> dict[tuple[object, ...], pl.DataFrame]:
    return frame.partition_by(keys, as_dict=True) if keys else {(): frame}
