"""One repository of a container registry, by the OCI distribution specification 1.1: blobs by digest, manifests by tag.

Blobs go up as docker sends them, in one request; where that is cut, the registry is asked how far it came, and the rest follows. They come
down by ranges, and are held to their digest. Redirects to where a registry keeps its blobs are followed without what opens the registry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO
from urllib.parse import urljoin, urlsplit

import requests

from ..errors import AccessDenied, DataNotFound, StorageFailed, TrainerError
from .download import HashedDownload, RangeRefused
from .login import Login, authorization
from .patience import TIMEOUT_SECONDS, Passing, Patience, passes

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
READ = (MANIFEST, "application/vnd.docker.distribution.manifest.v2+json")
NOTHING: Mapping[str, str] = MappingProxyType({})
Body = Callable[[], Any]
"""Makes what is sent: anew for each try."""


class Registry:
    """A repository at `url`, https://HOST."""

    def __init__(self, url: str, repository: str, login: Login | None, patience: Patience) -> None:
        self.url, self.repository, self.login, self.patience = url, repository, login, patience
        self.title = f"oci://{urlsplit(url).netloc}/{repository}"
        self.session = requests.Session()
        self.authorization: str | None = None
        """What the last challenge was answered with."""

    def at(self, path: str) -> str:
        return f"{self.url}/v2/{self.repository}/{path}"

    def ask(
        self, verb: str, url: str, headers: Mapping[str, str] = NOTHING, body: Body | None = None
    ) -> requests.Response:
        """One request, and once more with what a challenge asks for. Raises Passing for what may pass, other TrainerErrors for what stays."""
        answer = self._send(verb, url, headers, body)
        if answer.status_code == requests.codes.unauthorized and self._is_own(url):
            answer.close()
            self.authorization = authorization(answer.headers.get("WWW-Authenticate", ""), self.login, self.url)
            if self.authorization:
                answer = self._send(verb, url, headers, body)
        return self._judged(answer)

    def _send(self, verb: str, url: str, headers: Mapping[str, str], body: Body | None) -> requests.Response:
        asked = {"Accept-Encoding": "identity", **headers}
        if self.authorization and self._is_own(url):
            asked["Authorization"] = self.authorization
        is_read = verb in ("GET", "HEAD")
        try:
            # A redirect to another host is followed without Authorization: requests drops it.
            return self.session.request(
                verb,
                url,
                headers=asked,
                data=body() if body else None,
                stream=True,
                timeout=TIMEOUT_SECONDS,
                allow_redirects=is_read,
            )
        except requests.RequestException as error:
            raise Passing(f"{self.title}: {error}") from error

    def _is_own(self, url: str) -> bool:
        """Whether the registry itself is asked: uploads may go elsewhere."""
        return urlsplit(url)[:2] == urlsplit(self.url)[:2]

    def _judged(self, answer: requests.Response) -> requests.Response:
        status = answer.status_code
        if answer.ok and not answer.is_redirect:
            return answer
        with answer:
            said = _said(answer)
        if status == requests.codes.requested_range_not_satisfiable:
            raise RangeRefused(f"{self.title}: answered {status}{said}")
        if status in (401, 403):
            who = f"refuses Secret {self.login.secret}" if self.login else "is not open to everyone"
            raise AccessDenied(f"{self.title}: {who} ({status}{said}): name a Secret that may in spec.credentials.")
        if status in (404, 410):
            raise DataNotFound(f"{self.title}: there is no such thing ({status}{said}): check repository and tag.")
        if passes(status):
            raise Passing(f"{self.title}: answered {status}{said}", answer.headers.get("Retry-After"))
        raise StorageFailed(f"{self.title}: answered {status} {answer.reason}{said}.")

    def patiently(
        self, verb: str, path: str, headers: Mapping[str, str] = NOTHING, body: Body | None = None
    ) -> requests.Response:
        return self.patience.ask(lambda: self.ask(verb, self.at(path), headers, body))

    def has(self, verb: str, path: str, headers: Mapping[str, str] = NOTHING) -> requests.Response | None:
        """The answer; None where there is nothing of that name."""
        try:
            return self.patiently(verb, path, headers)
        except DataNotFound:
            return None

    def manifest(self, reference: str) -> tuple[str, bytes] | None:
        """(digest, content) of a manifest by its tag or digest. Raises StorageFailed where it is not what it is called."""
        answer = self.has("GET", f"manifests/{reference}", {"Accept": ", ".join(READ)})
        if answer is None:
            return None
        content = answer.content
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if reference.startswith("sha256:") and digest != reference:
            raise StorageFailed(f"{self.title}@{reference}: the registry sent {digest} instead.")
        return digest, content

    def put_manifest(self, tag: str, content: bytes) -> None:
        self.patiently("PUT", f"manifests/{tag}", {"Content-Type": MANIFEST}, lambda: content).close()

    def delete_manifest(self, digest: str) -> None:
        self.patiently("DELETE", f"manifests/{digest}").close()

    def get_blob(self, digest: str, partial_file: Path) -> Path:
        """The blob, at `partial_file`. Raises StorageFailed where its bytes are not those of its digest."""
        ask = partial(self.ask, "GET", self.at(f"blobs/{digest}"))
        download = HashedDownload(ask, partial_file, f"{self.title}@{digest}")
        download.bring(self.patience)
        found = f"sha256:{download.hash.hexdigest()}"
        if found != digest:
            partial_file.unlink()
            raise StorageFailed(f"{self.title}: blob {digest} came as {found}: it is damaged there or on its way.")
        return partial_file

    def put_blob(self, file: Path, digest: str) -> None:
        """Stores a file's bytes, whose digest that is, unless they are there already."""
        upload = Upload(self, file, digest)
        self.patience.ask(upload.go_on, lambda: upload.reached)

    def refuse_strangers(self) -> None:
        """Raises AccessDenied, before hours of work, where nothing may be stored."""
        place = self.patiently("POST", "blobs/uploads/")
        with suppress(TrainerError):
            # Not every registry lets an upload be cancelled: what nobody goes on with it forgets in time.
            self.ask("DELETE", urljoin(self.url, place.headers["Location"])).close()


class Upload:
    """A blob on its way to a registry."""

    def __init__(self, registry: Registry, file: Path, digest: str) -> None:
        self.registry, self.file, self.digest = registry, file, digest
        self.size, self.place, self.reached = file.stat().st_size, "", 0

    def go_on(self) -> None:
        """Sends what the registry lacks. Raises Passing when the line breaks."""
        if self.registry.has("HEAD", f"blobs/{self.digest}"):
            return
        if self.place:
            self._ask_how_far()
        if not self.place:
            answer = self.registry.ask("POST", self.registry.at("blobs/uploads/"))
            self._follow(answer, 0)
        if self.reached < self.size:
            # As docker does, without a range where it is the whole: some registries know it from there alone.
            rest = {"Content-Range": f"{self.reached}-{self.size - 1}"} if self.reached else {}
            headers = {"Content-Type": "application/octet-stream"} | rest
            answer = self.registry.ask("PATCH", self.place, headers, lambda: Rest(self.file, self.reached, self.size))
            self._follow(answer, self.size)
        joint = "&" if urlsplit(self.place).query else "?"
        self.registry.ask("PUT", f"{self.place}{joint}digest={self.digest}").close()

    def _ask_how_far(self) -> None:
        try:
            answer = self.registry.ask("GET", self.place)
        except (DataNotFound, StorageFailed) as error:
            if isinstance(error, Passing):
                raise
            # The registry has forgotten it: it is begun anew.
            self.place, self.reached = "", 0
            return
        last = int(answer.headers.get("Range", "0-0").rpartition("-")[2])
        self._follow(answer, last + 1)
        if last == 0:
            # 0-0 is said of one byte and of none.
            self.place, self.reached = "", 0

    def _follow(self, answer: requests.Response, reached: int) -> None:
        """The upload goes on at the place that the registry names."""
        answer.close()
        self.place, self.reached = urljoin(self.registry.url, answer.headers["Location"]), reached


class Rest:
    """A file from a byte on, as requests sends it: with its length, a block at a time."""

    def __init__(self, file: Path, begin: int, end: int) -> None:
        self.source: BinaryIO = file.open("rb")
        self.source.seek(begin)
        self.left = end - begin

    def __len__(self) -> int:
        return self.left

    def __iter__(self) -> Any:
        while block := self.read(1 << 20):
            yield block

    def read(self, size: int = -1) -> bytes:
        block = self.source.read(size)
        self.left -= len(block)
        if not block:
            self.source.close()
        return block


def _said(answer: requests.Response) -> str:
    """The words of the registry's first error, where it has any."""
    try:
        errors = answer.json()["errors"]
        return f" {errors[0]['code']}: {errors[0].get('message', '')}"[:200]
    except (ValueError, KeyError, IndexError, TypeError):
        return ""
