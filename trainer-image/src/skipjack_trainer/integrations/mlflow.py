"""MLflow, by its REST API (mlflow.org/docs/latest/rest-api.html): its client takes 3 s to import, and tries for minutes on end."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import requests

from skipjack.protocol import MLFLOW_PASSWORD, MLFLOW_TOKEN, MLFLOW_USERNAME

from .base import About, Away, Ending, Entry, Numbers, Outcome, Refused, final, numbers_of

TIMEOUT_SECONDS = 5.0
PARAMETERS_A_REQUEST = 100
"""MLflow's own limits: of a request, and of what it keeps of a value."""
PARAMETER_CHARACTERS = 500
TAG_CHARACTERS = 5000
PAGE = 1000
TRIED_AGAIN = frozenset({408, 425, 429})
UID_TAG = "skipjack.uid"
NOTE_TAG = "mlflow.note.content"
"""Markdown that MLflow's pages show as the description of a run."""

STATUS = {Ending.COMPLETE: "FINISHED", Ending.INTERRUPTED: "SCHEDULED", Ending.FAILED: "FAILED"}
KNOWN_BY = "loss"
"""A metric that every step has: the steps that the server has it of, it knows."""


class Unknown(Refused):
    """There is no such thing on the server."""


class MLflow:
    """One run of an MLflow server, found again by its tag with the job's uid."""

    def __init__(self, uri: str, environment: Mapping[str, str] = os.environ) -> None:
        self.api = f"{uri.rstrip('/')}/api/2.0/mlflow"
        self.session = requests.Session()
        # The machine's own ~/.netrc has no say in what the job's Secret opens; proxies and certificates are the pod's.
        self.session.auth = credentials(environment)
        self.run_id = ""

    def open(self, about: About) -> frozenset[int]:
        experiment = self._experiment(about.experiment)
        found = self._post(
            "runs/search", experiment_ids=[experiment], filter=f"tags.`{UID_TAG}` = '{about.uid}'", max_results=1
        ).get("runs")
        run = found[0] if found else self._create(experiment, about)
        self.run_id = run["info"]["run_id"]
        known = {parameter["key"] for parameter in run["data"].get("params", ())}
        # What was told once stays, and MLflow refuses another value.
        missing = [
            {"key": key, "value": value[:PARAMETER_CHARACTERS]}
            for key, value in about.settings.items()
            if key not in known
        ]
        for begin in range(0, len(missing), PARAMETERS_A_REQUEST):
            self._post("runs/log-batch", run_id=self.run_id, params=missing[begin : begin + PARAMETERS_A_REQUEST])
        self._post("runs/update", run_id=self.run_id, status="RUNNING")
        return frozenset(self._steps())

    def send(self, entries: Sequence[Entry]) -> None:
        metrics = [metric for entry in entries for metric in as_metrics(numbers_of(entry), int(entry["step"]))]
        for begin in range(0, len(metrics), PAGE):
            self._post("runs/log-batch", run_id=self.run_id, metrics=metrics[begin : begin + PAGE])

    def end(self, outcome: Outcome) -> None:
        result = outcome.result
        if result:
            told = {"skipjack.output_uri": result.output_uri, "skipjack.output_digest": result.output_digest}
            tags = {key: value for key, value in told.items() if value} | {NOTE_TAG: outcome.card[:TAG_CHARACTERS]}
            self._post(
                "runs/log-batch",
                run_id=self.run_id,
                metrics=list(as_metrics(final(result.metrics), result.step)),
                tags=as_tags(tags),
            )
        self._post("runs/update", run_id=self.run_id, status=STATUS[outcome.ending], end_time=milliseconds())

    def _experiment(self, name: str) -> str:
        try:
            told = self._ask("GET", "experiments/get-by-name", params={"experiment_name": name})["experiment"]
        except Unknown:
            told = self._post("experiments/create", name=name)
        return str(told["experiment_id"])

    def _create(self, experiment: str, about: About) -> dict[str, Any]:
        tags = as_tags(about.tags | {UID_TAG: about.uid, "mlflow.runName": about.name})
        run: dict[str, Any] = self._post(
            "runs/create", experiment_id=experiment, run_name=about.name, start_time=milliseconds(), tags=tags
        )["run"]
        return run

    def _steps(self) -> Iterator[int]:
        page: dict[str, Any] = {"run_id": self.run_id, "metric_key": KNOWN_BY, "max_results": PAGE}
        while True:
            told = self._ask("GET", "metrics/get-history", params=page)
            yield from (int(metric.get("step", 0)) for metric in told.get("metrics", ()))
            if not told.get("next_page_token"):
                return
            page["page_token"] = told["next_page_token"]

    def _post(self, path: str, **body: Any) -> dict[str, Any]:
        return self._ask("POST", path, json=body)

    def _ask(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """The server's answer. Raises Away, Unknown and Refused."""
        try:
            answer = self.session.request(
                method, f"{self.api}/{path}", timeout=TIMEOUT_SECONDS, allow_redirects=False, **request
            )
            if answer.ok and not answer.is_redirect:
                told: dict[str, Any] = answer.json()
                return told
        except requests.RequestException as error:
            raise Away(f"{self.api}: {type(error).__name__}") from error
        said = f"{self.api}/{path} answered {answer.status_code} {answer.text[:300]}"
        if answer.status_code in TRIED_AGAIN or answer.status_code >= requests.codes.server_error:
            raise Away(said)
        raise Unknown(said) if "RESOURCE_DOES_NOT_EXIST" in answer.text else Refused(said)


def credentials(environment: Mapping[str, str]) -> requests.auth.AuthBase:
    """By the names of MLflow's own client: a token wins over a user and a password."""
    if token := environment.get(MLFLOW_TOKEN):
        return Bearer(token.strip())
    if user := environment.get(MLFLOW_USERNAME):
        return requests.auth.HTTPBasicAuth(user, environment.get(MLFLOW_PASSWORD, ""))
    return Nobody()


class Bearer(requests.auth.AuthBase):
    def __init__(self, token: str) -> None:
        self.token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


class Nobody(requests.auth.AuthBase):
    """No credentials, where requests would look for some in ~/.netrc."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


def as_metrics(numbers: Numbers, step: int) -> Iterator[dict[str, Any]]:
    now = milliseconds()
    return ({"key": key, "value": value, "timestamp": now, "step": step} for key, value in numbers.items())


def as_tags(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def milliseconds() -> int:
    return int(time.time() * 1000)
