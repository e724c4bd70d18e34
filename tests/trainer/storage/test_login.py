"""Who a registry is told that we are, and where that is sent: to its own host, to the realm that it names, and nowhere else."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.trainer.storage.pages import Request, page

from skipjack_trainer.errors import AccessDenied
from skipjack_trainer.storage.base import Secret
from skipjack_trainer.storage.login import DOCKER_CONFIG, Login, authorization, login_of
from skipjack_trainer.storage.patience import Patience
from skipjack_trainer.storage.registry import Registry

ME = Login("ghcr", "me", "open sesame")
BASIC = f"Basic {base64.b64encode(b'me:open sesame').decode()}"
TOKEN = {"token": "of-a-minute"}


@pytest.fixture
def secret(tmp_path: Path) -> Callable[..., Secret]:
    def holding(**keys: str) -> Secret:
        for name, value in keys.items():
            (tmp_path / name.replace("docker", DOCKER_CONFIG)).write_text(value)
        return Secret("ghcr", tmp_path)

    return holding


def config(place: str, **user: str) -> str:
    return json.dumps({"auths": {place: user}})


@pytest.mark.parametrize(
    ("place", "host"),
    [
        ("ghcr.io", "ghcr.io"),
        ("https://ghcr.io/v2/", "ghcr.io"),
        ("localhost:5000", "localhost:5000"),
        ("https://index.docker.io/v1/", "docker.io"),
    ],
)
@pytest.mark.parametrize(
    "user", [{"username": "me", "password": "open sesame"}, {"auth": BASIC.removeprefix("Basic ")}]
)
def test_a_docker_secret_names_the_user_of_a_registry(
    secret: Callable[..., Secret], place: str, host: str, user: dict[str, str]
) -> None:
    login = login_of(secret(docker=config(place, **user)), host)
    assert login is not None
    assert login.basic == BASIC
    assert "sesame" not in repr(login)


def test_user_and_password_may_be_keys_of_their_own(secret: Callable[..., Secret]) -> None:
    login = login_of(secret(username="me", password="open sesame"), "ghcr.io")
    assert login is not None
    assert login.basic == BASIC
    assert login_of(None, "ghcr.io") is None


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, "kubectl create secret docker-registry ghcr --docker-server=ghcr.io"),
        ({"username": "me"}, "neither .dockerconfigjson nor username and password"),
        ({"docker": config("quay.io", auth="bWU6eA==")}, "no user for ghcr.io, it has for quay.io"),
        ({"docker": config("ghcr.io", auth="sesame")}, "no docker configuration"),
        ({"docker": config("ghcr.io")}, "no docker configuration"),
        ({"docker": "open sesame"}, "no docker configuration"),
        ({"docker": "[]"}, "no docker configuration"),
    ],
)
def test_a_secret_that_names_no_user_is_told_and_not_shown(
    secret: Callable[..., Secret], keys: dict[str, str], words: str
) -> None:
    with pytest.raises(AccessDenied, match=words) as refused:
        login_of(secret(**keys), "ghcr.io")
    assert "Secret ghcr" in str(refused.value)
    assert "sesame" not in str(refused.value)
    assert refused.value.__cause__ is None


def challenge(realm: str) -> str:
    return f'Bearer realm="{realm}",service="registry",scope="repository:a/b:pull,push"'


def test_a_token_is_asked_for_at_the_realm_by_the_scope_of_the_challenge() -> None:
    with page(lambda asked: asked.reply(200, json.dumps(TOKEN).encode())) as realm:
        assert authorization(challenge(realm.url), ME, "http://localhost:1") == "Bearer of-a-minute"
        assert authorization(challenge(realm.url), None, "http://localhost:1") == "Bearer of-a-minute"
    assert [headers.get("Authorization") for headers in realm.asked] == [BASIC, None]


def test_a_realm_without_tls_is_told_nothing_by_a_registry_that_has_it() -> None:
    with (
        page(lambda asked: asked.reply(200, json.dumps(TOKEN).encode())) as realm,
        pytest.raises(AccessDenied, match="without TLS: nothing is sent there"),
    ):
        authorization(challenge(realm.url), ME, "https://ghcr.io")
    assert realm.asked == []


def test_a_realm_that_redirects_is_not_followed() -> None:
    with (
        page(lambda asked: asked.reply(200, json.dumps(TOKEN).encode()), "localhost") as other,
        page(lambda asked: asked.reply(302, Location=other.url)) as realm,
        pytest.raises(AccessDenied, match=r"gives no token to Secret ghcr \(302\)"),
    ):
        authorization(challenge(realm.url), ME, "http://localhost:1")
    assert other.asked == []


def test_basic_is_answered_with_the_user_and_what_is_no_challenge_with_nothing() -> None:
    assert authorization('Basic realm="x"', ME, "https://ghcr.io") == BASIC
    for unknown in ("", "Digest realm=x", 'Bearer service="x"'):
        assert authorization(unknown, ME, "https://ghcr.io") is None


def test_a_token_that_has_run_out_is_replaced_and_its_request_made_again() -> None:
    """One token is good for a single request here, as if each took long."""

    def serve(asked: Request) -> None:
        own = asked.headers.get("Authorization")
        if asked.path.startswith("/token"):
            given.append(f"token-{len(given)}")
            asked.reply(200, json.dumps({"access_token": given[-1]}).encode())
        elif given and own == f"Bearer {given[-1]}" and own not in used:
            used.append(own)
            asked.reply(200, b"{}")
        else:
            asked.reply(401, WWW_Authenticate=challenge(f"http://127.0.0.1:{served.port}/token"))

    given: list[str] = []
    used: list[str] = []
    with page(serve) as served:
        registry = Registry(f"http://127.0.0.1:{served.port}", "a/b", ME, Patience(first_pause_seconds=0))
        for _ in range(3):
            assert registry.manifest("v1") is not None
    assert used == ["Bearer token-0", "Bearer token-1", "Bearer token-2"]


def test_a_registry_that_refuses_in_the_end_is_asked_no_more_than_twice() -> None:
    with page(lambda asked: asked.reply(401, WWW_Authenticate='Basic realm="x"')) as served:
        registry = Registry(f"http://127.0.0.1:{served.port}", "a/b", ME, Patience(first_pause_seconds=0))
        with pytest.raises(AccessDenied, match=r"refuses Secret ghcr \(401\): name a Secret that may"):
            registry.manifest("v1")
    assert len(served.asked) == 2
