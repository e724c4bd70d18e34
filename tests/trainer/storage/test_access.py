"""Which URIs a credential is for."""

from __future__ import annotations

import pytest

from skipjack_trainer.storage import Access
from skipjack_trainer.storage.base import serves


@pytest.mark.parametrize(
    ("prefix", "uri", "is_for"),
    [
        ("hf://", "hf://org/m", True),
        ("hf://org", "hf://org/m", True),
        ("hf://org", "hf://org-of-others/m", False),
        ("hf://org/m", "hf://org/m@main", True),
        ("https://example.com", "https://example.com/a.jsonl", True),
        ("https://example.com", "https://example.com", True),
        ("https://example.com", "https://example.com.evil.org/a.jsonl", False),
        ("https://example.com", "https://example.com:8443/a.jsonl", False),
        ("https://example.com/team", "https://example.com/team-a/a.jsonl", True),
        ("s3://models", "s3://models-of-others/a", False),
        ("s3://models", "s3://models/a", True),
        ("oci://ghcr.io", "oci://ghcr.io/org/bot:v1", True),
        ("oci://ghcr.io", "oci://ghcr.io.evil.org/org/bot:v1", False),
        ("s3://", "gs://models/a", False),
    ],
)
def test_a_credential_is_for_the_host_or_bucket_that_it_names_and_for_no_longer_name(
    prefix: str, uri: str, is_for: bool
) -> None:
    assert serves(prefix, uri) is is_for
    assert (Access(secrets={prefix: "own"}).secret(uri) is not None) is is_for


def test_of_several_that_fit_the_longest_counts() -> None:
    access = Access(secrets={"s3://": "all", "s3://models": "models", "s3://models/team-a/": "team"})
    found = [access.secret(uri) for uri in ("s3://data/a", "s3://models/b", "s3://models/team-a/c")]
    assert [secret.name for secret in found if secret] == ["all", "models", "team"]
