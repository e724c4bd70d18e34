"""What object stores refuse, and credentials that are wrong or missing: told by URI, by Secret and key, and never with what they hold."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import obstore
import pytest
from tests.support import buckets
from tests.support.buckets import Server
from tests.support.faults import line, refusal
from tests.trainer.storage.test_buckets import OPENERS, QUICK, store, stored

from skipjack_trainer.errors import AccessDenied, DataNotFound, NoSpace, StorageFailed, TrainerError
from skipjack_trainer.storage import Access, Entry, az, gs, s3

ObjectStore = Callable[[str], Server]


@pytest.mark.parametrize(
    ("scheme", "changes", "error", "words"),
    [
        ("s3", {"AWS_ACCESS_KEY_ID": "stranger"}, AccessDenied, "doesn't know the access key id of Secret bucket: check AWS_ACCESS_KEY_ID"),
        ("s3", {"AWS_SECRET_ACCESS_KEY": "hush hush"}, AccessDenied, "the secret key of Secret bucket doesn't belong to its access key id"),
        ("s3", {"AWS_REGION": "us-east-1"}, AccessDenied, r"another region \(eu-west-1\): put it into AWS_REGION of Secret bucket"),
        ("s3", {"AWS_ACCESS_KEY_ID": None}, AccessDenied, "Secret bucket is missing or has no key 'AWS_ACCESS_KEY_ID'"),
        ("s3", {"AWS_SECRET_ACCESS_KEY": None}, AccessDenied, "Secret bucket is missing or has no key 'AWS_SECRET_ACCESS_KEY'"),
        ("s3", {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, AccessDenied, "refuses a reader without credentials.*spec.credentials"),
        ("az", {"AZURE_STORAGE_ACCOUNT_KEY": "aHVzaCBodXNo"}, AccessDenied, "refuses Secret bucket: check its key or SAS token"),
        ("az", {"AZURE_STORAGE_ACCOUNT_KEY": "not base64"}, AccessDenied, "Secret bucket holds what opens no store"),
        ("az", {"AZURE_STORAGE_ACCOUNT_NAME": None}, AccessDenied, "Secret bucket is missing or has no key 'AZURE_STORAGE_ACCOUNT_NAME'"),
        ("az", {"AZURE_STORAGE_ACCOUNT_KEY": None}, AccessDenied, "a reader without credentials"),
        ("gs", {"GOOGLE_SERVICE_ACCOUNT_KEY": None}, AccessDenied, "Secret bucket is missing or has no key 'GOOGLE_SERVICE_ACCOUNT_KEY'"),
        ("gs", {"GOOGLE_SERVICE_ACCOUNT_KEY": "hush hush"}, AccessDenied, "no service account's key: it is the JSON file"),
    ],
)  # fmt: skip
def test_a_credential_that_does_not_open_is_told_by_secret_and_key(
    scheme: str,
    changes: dict[str, str | None],
    error: type[TrainerError],
    words: str,
    object_store: ObjectStore,
    tmp_path: Path,
) -> None:
    server = object_store(scheme)
    with pytest.raises(error, match=words) as told:
        store(scheme, server.access(tmp_path, **changes)).list("some/folder")
    assert_hushed(told.value, [value for value in (server.secret() | changes).values() if value and "://" not in value])


def assert_hushed(error: BaseException, secrets: list[str]) -> None:
    """Neither the sentence nor what a traceback of it would show has them."""
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
    assert [secret for secret in secrets if len(secret) > 7 and secret in str(error) and secret != "devstoreaccount1"] == []  # fmt: skip


@pytest.mark.parametrize("scheme", ["az", "s3"])  # fake-gcs-server answers 500
def test_a_bucket_that_is_not_there_is_told(scheme: str, object_store: ObjectStore, tmp_path: Path) -> None:
    opened = OPENERS[scheme](f"{scheme}://nowhere/a", object_store(scheme).access(tmp_path), QUICK).store
    (tmp_path / "up").write_bytes(b"x")
    for use in (lambda: opened.list("a"), lambda: opened.put(tmp_path / "up", "a"), lambda: opened.exists("a")):
        with pytest.raises(DataNotFound, match=f"{scheme}://nowhere"):
            use()


@pytest.mark.parametrize(
    ("status", "code", "error", "words"),
    [
        (403, "RequestTimeTooSkewed", StorageFailed, "this node's clock and that of .* are too far apart"),
        (403, "ExpiredToken", AccessDenied, "the session token of Secret bucket has expired"),
        (403, "AccessDenied", AccessDenied, "refuses Secret bucket .403 AccessDenied.: name a Secret that may"),
        (400, "AuthorizationHeaderMalformed", AccessDenied, "another region: put it into AWS_REGION"),
        (409, "QuotaExceeded", NoSpace, "its quota is used up"),
        (400, "XMinioStorageFull", NoSpace, "the store is full"),
        (400, "NobodyKnows", StorageFailed, "NobodyKnows"),
    ],
)
def test_what_a_store_refuses_is_said_with_what_to_do(
    status: int, code: str, error: type[TrainerError], words: str, object_store: ObjectStore, tmp_path: Path
) -> None:
    server = object_store("s3")
    (tmp_path / "up").write_bytes(b"x")
    with (
        line(server.port, lambda number: refusal(status, code)) as refusing,
        pytest.raises(error, match=f"s3://data/up.*{words}"),
    ):
        store("s3", server.access(tmp_path, refusing.port)).put(tmp_path / "up", "up")


def test_a_token_in_an_address_is_never_told(object_store: ObjectStore, tmp_path: Path) -> None:
    changes = {"AZURE_STORAGE_ACCOUNT_KEY": None, "AZURE_STORAGE_SAS_TOKEN": "sv=2021-08-06&sig=hushhush%2Bhush"}
    with line(object_store("az").port, lambda number: refusal(400, "NobodyKnows")) as refusing:
        opened = store("az", object_store("az").access(tmp_path, refusing.port, **changes))
        with pytest.raises(StorageFailed, match="NobodyKnows") as told:
            opened.list()
    assert "hushhush" not in str(told.value)


@pytest.mark.parametrize("mark", ["", "?"])
def test_a_sas_token_opens_what_it_is_for_and_no_more(mark: str, object_store: ObjectStore, tmp_path: Path) -> None:
    server = object_store("az")
    stored(server, tmp_path, b"shared", "shared.txt")
    whole = store("az", server.access(tmp_path))
    token = urlsplit(obstore.sign(whole.client, "GET", "shared.txt", timedelta(hours=1))).query
    opened = store("az", server.access(tmp_path, AZURE_STORAGE_ACCOUNT_KEY=None, AZURE_STORAGE_SAS_TOKEN=mark + token))
    assert opened.get("shared.txt", tmp_path / "into").read_bytes() == b"shared"
    with pytest.raises(AccessDenied, match=r"az://data/new\.txt: .*refuses Secret bucket") as told:
        opened.put(tmp_path / "into/shared.txt", "new.txt")
    assert_hushed(told.value, [token, parse_qs(token)["sig"][0]])


def test_a_public_bucket_is_read_with_no_more_than_its_endpoint(tmp_path: Path) -> None:
    with buckets.serving("s3", tmp_path / "served") as server:
        stored(server, tmp_path, b"shared", "shared.txt")
        resources = ["arn:aws:s3:::data", "arn:aws:s3:::data/*"]
        rule = {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": resources}
        # Where versitygw keeps a bucket's policy.
        os.setxattr(server.folder / "data", "user.policy", json.dumps({"Statement": [rule]}).encode())
        anybody = store("s3", server.access(tmp_path, AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None))
        assert anybody.list() == [Entry("shared.txt", 6)]
        assert anybody.get("shared.txt", tmp_path / "into").read_bytes() == b"shared"
        with pytest.raises(AccessDenied, match="refuses a reader without credentials"):
            anybody.put(tmp_path / "into/shared.txt", "new.txt")


def test_a_secret_that_an_answer_repeats_is_not_repeated(object_store: ObjectStore, tmp_path: Path) -> None:
    server = object_store("s3")
    with line(server.port, lambda number: refusal(400, "open sesame")) as refusing:
        opened = store("s3", server.access(tmp_path, refusing.port))
        with pytest.raises(StorageFailed, match=r"<Code>\*\*\*</Code>"):
            opened.list()


def test_a_bucket_without_a_secret_is_read_as_anybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*s3.IDENTITIES, az.IDENTITY, gs.IDENTITY):
        monkeypatch.delenv(name, raising=False)
    assert s3.own_identity() == ({"skip_signature": True}, "a reader without credentials")
    with pytest.raises(AccessDenied, match=r"no account is named.*AZURE_STORAGE_ACCOUNT_NAME"):
        az.open_uri("az://data/a", Access(credentials=tmp_path))


@pytest.mark.parametrize(
    ("scheme", "variable"), [("s3", s3.IDENTITIES[0]), ("s3", s3.IDENTITIES[1]), ("az", az.IDENTITY), ("gs", gs.IDENTITY)]
)  # fmt: skip
def test_what_a_cluster_sets_for_a_service_account_is_used(
    scheme: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "/var/run/token")
    settings, opened_by = {"s3": s3, "az": az, "gs": gs}[scheme].own_identity()
    assert settings == {}
    assert "ServiceAccount" in opened_by


def test_the_secret_of_the_longest_prefix_opens(object_store: ObjectStore, tmp_path: Path) -> None:
    server = object_store("s3")
    access = server.access(tmp_path)
    access.secrets["s3://data/team-a/"] = "team-a"
    stored(server, tmp_path, b"x", "shared/x")
    assert s3.open_uri("s3://data/shared/x", access, QUICK).store.exists("shared/x")
    with pytest.raises(AccessDenied, match="Secret team-a is missing"):
        s3.open_uri("s3://data/team-a/x", access, QUICK)


@pytest.mark.parametrize("trusted_by", ["the Secret", "the installation", None])
def test_an_authority_of_ones_own_is_trusted_by_the_secret_or_the_installation(
    trusted_by: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, certificate, key = certified(tmp_path)
    with buckets.serving("s3", tmp_path / "served", (certificate, key)) as server:
        changes = {"AWS_ENDPOINT_URL": f"https://127.0.0.1:{server.port}"}
        changes |= {"ca.crt": authority.read_text()} if trusted_by == "the Secret" else {}
        if trusted_by == "the installation":
            monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        opened = store("s3", server.access(tmp_path, **changes))
        if trusted_by:
            assert opened.list() == []
        else:
            with pytest.raises(StorageFailed, match=r"s3://data: the certificate of https.*ca\.crt of its Secret"):
                opened.list()


def certified(folder: Path) -> tuple[Path, Path, Path]:
    """An authority's certificate, one of 127.0.0.1 that it has signed, and the key of that."""
    elliptic = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = [folder / name for name in ("ca.crt", "ca.key", "tls.crt", "tls.key")]
    authority, own_key, certificate, key = map(str, names)
    for told in (
        [*elliptic, "-subj", "/CN=authority", "-keyout", own_key, "-out", authority],
        [*elliptic, "-subj", "/CN=store", "-CA", authority, "-CAkey", own_key, "-addext", "subjectAltName=IP:127.0.0.1",
         "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", certificate],
    ):  # fmt: skip
        subprocess.run(["openssl", "req", "-x509", *told], check=True, capture_output=True)
    return names[0], names[2], names[3]
