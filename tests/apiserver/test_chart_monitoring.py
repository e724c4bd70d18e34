"""Alerts speak of metrics that there are, and each has a runbook."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from skipjack_operator.metrics import REGISTRY

from .rendered import CHART, ROOT, SITES, named, of, render

pytestmark = pytest.mark.cluster
ALERTS = yaml.safe_load((CHART / "files/alerts.yaml").read_text())
METRICS = {f"{metric.name}{suffix}" for metric in REGISTRY.collect() for suffix in ("", "_total", "_bucket")}


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_asks_for_metrics_that_the_operator_has(name: str) -> None:
    asked = set(re.findall(r"skipjack_\w+", ALERTS[name]["expr"]))
    assert asked
    assert asked <= METRICS


def test_the_dashboard_shows_metrics_that_the_operator_has() -> None:
    board = json.loads(named(render(*SITES["monitored"]), "ConfigMap", "skipjack-dashboard")["data"]["skipjack.json"])
    asked = {metric for panel in board["panels"] for metric in re.findall(r"skipjack_\w+", panel["targets"][0]["expr"])}
    assert (
        len(board["panels"]) == len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]}) == 10
    )
    assert asked <= METRICS


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    [rule] = of(render(*SITES["monitored"]), "PrometheusRule")
    alerts = rule["spec"]["groups"][0]["rules"]
    assert {alert["alert"] for alert in alerts} == {path.stem for path in (ROOT / "docs/runbooks").glob("*.md")}
    for alert in alerts:
        assert (ROOT / alert["annotations"]["runbook_url"]).read_text().startswith(f"# {alert['alert']}\n")


def test_runbooks_are_where_the_site_serves_them() -> None:
    [rule] = of(
        render("monitoring.prometheusRule=true", "monitoring.runbookURL=https://wiki.example.com/"), "PrometheusRule"
    )
    urls = {alert["annotations"]["runbook_url"] for alert in rule["spec"]["groups"][0]["rules"]}
    assert "https://wiki.example.com/SkipjackHasNoLeader.md" in urls
