"""What is shipped for Prometheus and Grafana names metrics that there are, with their labels."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lifelog_lake.server.metrics import FleetMetrics
from tests.unit.test_server_metrics import alerts, fleet

DEPLOY = Path(__file__).parents[2] / "deploy"
_SELECTOR = re.compile(r"(lifelog_[a-z_]+)(?:\{([^}]*)\})?")


def metrics() -> dict[str, set[str]]:
    """Names as they are scraped, and their labels."""
    found: dict[str, set[str]] = {}
    for family in FleetMetrics(fleet(1), alerts(1)).collect():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def rules() -> list[dict[str, Any]]:
    content = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
    return [rule for group in content["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((DEPLOY / "grafana" / "lifelog-lake.json").read_text())
    return content


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    for panel in dashboard()["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"]


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_every_metric_named_exists_with_its_labels(expression: str) -> None:
    known = metrics()
    named = _SELECTOR.findall(expression)
    assert named
    for name, selector in named:
        assert name in known, name
        assert {label for label, _ in re.findall(r"(\w+)\s*(=~|=|!=|!~)", selector)} <= known[name]
    assert expression.count("(") == expression.count(")")


def test_the_rules_say_what_and_how_to_mend_it() -> None:
    known = metrics()
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names) > 5
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        said = rule["annotations"]
        assert said["summary"].endswith(".")
        assert said["description"].endswith(".")
        used = set(re.findall(r"\$labels\.(\w+)", str(said)))
        told = [known[name] for name, _ in _SELECTOR.findall(rule["expr"])]
        assert used <= set().union(*told)


def test_the_dashboard_can_be_imported() -> None:
    board = dashboard()
    assert (board["title"], board["uid"]) == ("Lifelog", "lifelog-lake")
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    shown = {name for panel in board["panels"] for t in panel["targets"]
             for name, _ in _SELECTOR.findall(t["expr"])}  # fmt: skip
    assert len(shown) > 15
