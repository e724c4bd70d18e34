"""Alerts speak of metrics that there are, and each has a runbook."""

from __future__ import annotations

import re

import pytest
import yaml

from skipjack_operator.metrics import REGISTRY

from .rendered import CHART, ROOT, SITES, of, render

pytestmark = pytest.mark.cluster
ALERTS = yaml.safe_load((CHART / "files/alerts.yaml").read_text())
METRICS = {sample for metric in REGISTRY.collect() for sample in (metric.name, f"{metric.name}_total")}


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_asks_for_metrics_that_the_operator_has(name: str) -> None:
    asked = set(re.findall(r"skipjack_\w+", ALERTS[name]["expr"]))
    assert asked
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
