"""POST /v1/progress: a sample of rank 0 comes in, the operator's wish goes out."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus

from aiohttp import web
from pydantic import ValidationError

from skipjack.api.v1alpha1.status import FineTuneJobStatus, ProgressStatus
from skipjack.protocol import Answer, Sample
from skipjack_operator import metrics
from skipjack_operator.client import FINE_TUNE_JOBS, Invalid, Kube, KubeError, NotFound, Object

from .store import News, Store
from .token import Reporter, Reviewer, TokenRefused
from .writer import Writer, is_over, wants_finish

logger = logging.getLogger(__name__)

PATH = "/v1/progress"
BODY_BYTES_MAX = 256 * 1024
BODY_SECONDS = 10.0
STEPS_MAX = 2**53
"""Beyond it a number in JSON is no longer exact."""


class Refused(Exception):
    """A post that is answered with `status` and a message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class ProgressAPI:
    """What the trainers talk to. Followers answer 503: the leader alone may write."""

    def __init__(
        self,
        kube: Kube,
        reviewer: Reviewer,
        store: Store,
        writer: Writer,
        is_leading: Callable[[], bool],
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        self._kube = kube
        self._reviewer = reviewer
        self._store = store
        self._writer = writer
        self._is_leading = is_leading
        self._body_seconds = body_seconds

    def app(self) -> web.Application:
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_post(PATH, self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.Response:
        response = await self._answer(request)
        metrics.PROGRESS_POSTS_TOTAL.labels(str(response.status)).inc()
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            answer = await self._take(request)
        except Refused as refused:
            return _refusal(refused.status, refused.message)
        except TokenRefused as refused:
            logger.warning("progress post from %s refused: %s", request.remote, refused)
            return _refusal(refused.status, refused.message)
        except web.HTTPRequestEntityTooLarge:
            return _refusal(413, f"the body has more than {BODY_BYTES_MAX} bytes")
        except KubeError as error:
            logger.warning("progress post can't be taken now: %s", error)
            return _refusal(503, f"the API server can't be asked now, post again: {error}")
        return web.json_response(text=answer.model_dump_json(exclude_none=True))

    async def _take(self, request: web.Request) -> Answer:
        if not self._is_leading():
            raise Refused(503, "this replica doesn't lead: post again")
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Refused(401, "post with the header Authorization: Bearer TOKEN")
        reporter = await self._reviewer.review(token.strip())
        sample = parse(await self._body(request))
        if sample.attempt != reporter.attempt:
            raise Refused(403, f"attempt: the pod belongs to attempt {reporter.attempt}, not {sample.attempt}")
        shown = await self._shown_before(reporter)
        news = self._store.put(reporter, sample, datetime.now(UTC), shown)
        try:
            if sample.resolved is not None or sample.facts is not None:
                await self._write_data(reporter, sample)
        finally:
            self._schedule(reporter.uid, news)
        return Answer(stop="Finish" if self._store.is_stopping(reporter.uid) else None)

    def _schedule(self, uid: str, news: News) -> None:
        if news in (News.MILESTONE, News.RESUMED):
            self._writer.at_once(uid)
        elif news is News.ROUTINE:
            self._writer.soon(uid)

    async def _body(self, request: web.Request) -> bytes:
        try:
            async with asyncio.timeout(self._body_seconds):
                return await request.read()
        except TimeoutError as slow:
            raise Refused(408, f"the body did not arrive within {self._body_seconds:g} s") from slow

    async def _shown_before(self, reporter: Reporter) -> ProgressStatus | None:
        """What was told of the job before this process knew it. Raises Refused for one that is over."""
        if self._store.latest(reporter.uid) is not None:
            return None
        ended = Refused(403, f"finetunejob {reporter.namespace}/{reporter.job} has ended, or is gone")
        if self._store.has_ended(reporter.uid):
            raise ended
        job = await self._kube.get(FINE_TUNE_JOBS, reporter.namespace, reporter.job)
        if job is None or job["metadata"]["uid"] != reporter.uid or is_over(job):
            self._store.forget(reporter.uid)
            raise ended
        if wants_finish(job):
            self._store.stop(reporter.uid)
        return _told(job)

    async def _write_data(self, reporter: Reporter, sample: Sample) -> None:
        try:
            await self._writer.write_data(reporter, sample)
        except NotFound as gone:
            raise Refused(403, gone.message) from gone
        except Invalid as invalid:
            raise Refused(400, f"resolved, facts: the API server refuses them: {invalid.message}") from invalid


def parse(body: bytes) -> Sample:
    """A sample that fits what the status may hold. Raises Refused, naming the field."""
    try:
        sample = Sample.model_validate_json(body)
        FineTuneJobStatus.model_validate(
            {"resolved": sample.resolved and [v.model_dump() for v in sample.resolved], "facts": sample.facts}
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        raise Refused(400, f"{field}: {first['msg']}") from error
    for index, value in enumerate(sample.resolved or ()):
        try:
            json.loads(value.value)
        except ValueError as error:
            raise Refused(400, f"resolved.{index}.value: {value.field} is not told as JSON: {error}") from error
    for field in ("attempt", "step", "steps", "checkpoint_step"):
        if (getattr(sample, field) or 0) > STEPS_MAX:
            raise Refused(400, f"{field}: more than {STEPS_MAX}")
    return sample


def _told(job: Object) -> ProgressStatus | None:
    told = (job.get("status") or {}).get("progress")
    if not told:
        return None
    try:
        return ProgressStatus.model_validate(told)
    except ValidationError as error:
        # Written by another version, or by hand: it only serves to carry on from, and is written anew.
        logger.warning("status.progress of %s can't be read: %s", job["metadata"]["name"], error)
        return None


def _refusal(status: int, message: str) -> web.Response:
    headers = {"Retry-After": "2"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return web.json_response(text=json.dumps({"error": message}), status=status, headers=headers)
