"""A job whose result is pushed to a registry, or to the hub: what others pull is what it trained, and nobody's result is written over."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import snapshot_download
from peft import PeftModel
from tests.trainer import tiny
from tests.trainer.run.test_attempt import heldout
from tests.trainer.storage.sites import SITES, Site, hub, registry
from tests.trainer.trainees import run_here
from transformers import AutoModelForCausalLM

from skipjack.protocol import Result
from skipjack.resolve import ResolvedSpec
from skipjack_trainer.digests import digest
from skipjack_trainer.errors import AccessDenied, OutputExists, StorageFailed

KEPT = {"everySteps": 2, "uri": "pvc://work/bot"}


@pytest.fixture(scope="module", params=["hf", "oci"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with SITES[request.param](tmp_path_factory.mktemp(request.param)) as opened:
        yield opened


@pytest.fixture(scope="module")
def pod(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pod's files: the model, the data, a claim for checkpoints, and the Secret that opens the site."""
    root = tmp_path_factory.mktemp("pod")
    tiny.furnish(root, job(site))
    (root / "mnt/claims/work").mkdir()
    shutil.copytree(site.access.credentials, root / "mnt/credentials")
    return root


def job(site: Site, uid: str = "uid-1", **changes: Any) -> ResolvedSpec:
    prefix = next(iter(site.access.secrets))
    usual = {
        "method": {"type": "LoRA"},
        "output": {"uri": site.uri("bot")},
        "checkpoint": KEPT,
        "credentials": [{"uriPrefix": prefix, "secretName": "own"}],
    }
    return tiny.resolved(uid=uid, **(usual | changes))


def ran(pod: Path, told: ResolvedSpec) -> Result:
    shutil.rmtree(pod / "scratch", ignore_errors=True)
    return run_here(tiny.furnish(pod, told))


@pytest.fixture(scope="module")
def stored(site: Site, pod: Path) -> Result:
    """What the first job tells."""
    assert site.front
    site.front.calm()
    return ran(pod, job(site))


def pulled(uri: str, into: Path) -> Path:
    """What stock programs bring: oras, and huggingface_hub."""
    into.mkdir()
    if uri.startswith("oci://"):
        registry.oras("pull", uri.removeprefix("oci://"), cwd=into)
        return into
    repo, _, commit = uri.removeprefix("hf://").partition("@")
    asked = {"revision": commit, "token": hub.TOKEN, "endpoint": os.environ["HF_ENDPOINT"]}
    return Path(snapshot_download(repo, local_dir=into, **asked))


def test_what_stock_programs_pull_is_what_was_trained(site: Site, pod: Path, stored: Result, tmp_path: Path) -> None:
    assert stored.output_uri is not None
    folder = pulled(stored.output_uri, tmp_path / "pulled")
    mark = json.loads((folder / "skipjack.json").read_text())
    assert mark["jobUid"] == "uid-1"
    assert mark["result"]["output_digest"] == stored.output_digest
    assert {name: told["sha256"] for name, told in mark["files"].items()} == {
        name: digest(folder / name) for name in mark["files"]
    }
    base = AutoModelForCausalLM.from_pretrained(pod / "mnt/claims/models/base", dtype=torch.float32)
    tuned = PeftModel.from_pretrained(base, str(folder)).eval()
    assert heldout(tuned) == pytest.approx(stored.metrics["heldout_loss_after"], rel=1e-4)
    assert stored.metrics["heldout_loss_after"] < stored.metrics["heldout_loss_before"]


def test_it_is_told_by_an_address_that_names_it_for_ever(site: Site, stored: Result) -> None:
    assert stored.output_uri is not None
    assert stored.output_uri.rpartition("@")[0] == site.uri("bot").removesuffix(":v1")
    assert len(stored.output_uri.rpartition("@")[2]) in (40, len("sha256:") + 64)


def test_checkpoints_lie_where_they_were_wanted_and_none_beside_the_result(
    site: Site, pod: Path, stored: Result
) -> None:
    kept = pod / "mnt/claims/work/bot/.skipjack/uid-1/checkpoints"
    assert [place.name for place in kept.glob("step-*")] == ["step-00000006-a1"]
    store, path = site.open("bot")
    assert not [entry for entry in store.list(path) if "checkpoint" in entry.path]


def test_the_same_job_again_finds_its_result_and_another_one_is_refused(site: Site, pod: Path, stored: Result) -> None:
    assert ran(pod, job(site)) == stored
    with pytest.raises(OutputExists, match="holds the result of team/job"):
        ran(pod, job(site, uid="uid-2"))


def test_another_job_starts_from_it(site: Site, pod: Path, stored: Result) -> None:
    start = {"startFrom": {"uri": stored.output_uri}, "model": "pvc://models/base"}
    next_one = {"output": {"uri": "pvc://models/next"}, "checkpoint": {"everySteps": 2}, "method": {"type": "LoRA"}}
    result = ran(pod, job(site, uid="uid-3", **start, **next_one))
    assert result.metrics["heldout_loss_before"] == pytest.approx(stored.metrics["heldout_loss_after"], rel=1e-4)


def test_a_secret_that_may_not_write_is_told_before_anything_is_trained(site: Site, pod: Path, tmp_path: Path) -> None:
    shutil.copytree(pod / "mnt", tmp_path / "mnt")
    for key in (tmp_path / "mnt/credentials/own").iterdir():
        key.write_text(key.read_text().replace(registry.PASSWORD, "wrong").replace(hub.TOKEN, "hf_wrong"))
        if key.name == registry.DOCKER_CONFIG:
            told = json.loads(key.read_text())
            for user in told["auths"].values():
                del user["auth"]
            key.write_text(json.dumps(told))
    with pytest.raises(AccessDenied, match=r"spec\.credentials"):
        run_here(tiny.furnish(tmp_path, job(site, uid="uid-4", output={"uri": site.uri("closed")})))
    assert not (tmp_path / "mnt/claims/work/bot/.skipjack/uid-4").exists()


def test_a_push_that_is_cut_off_leaves_what_was_there_and_the_next_attempt_needs_no_training(
    site: Site, pod: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, front = job(site, uid="uid-5", output={"uri": site.uri("bot"), "ifExists": "Replace"}), site.front
    assert front
    before = site.open("bot").store.pinned(site.uri("bot"))
    front.faults.cut_after_bytes, front.faults.uploads, front.faults.closes = 100, 1, True
    with pytest.raises((AccessDenied, StorageFailed)):
        ran(pod, told)
    front.calm()
    assert site.open("bot").store.pinned(site.uri("bot")) == before
    trained: list[int] = []
    monkeypatch.setattr("skipjack_trainer.engine.loop.accumulate", lambda *_: trained.append(1))
    result = run_here(tiny.furnish(pod, told), attempt=2)
    assert (result.output_uri != before, trained) == (True, [])


def test_further_forms_are_pushed_after_what_was_trained_and_a_crash_between_them_leaves_it_whole(
    site: Site, pod: Path, tmp_path: Path
) -> None:
    assert site.front
    site.front.calm()
    formats = [{"type": "Adapter"}, {"type": "Merged"}]
    told = job(site, uid="uid-6", output={"uri": site.uri("formed"), "formats": formats})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skipjack_trainer.export.exports.make", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            ran(pod, told)
    store, path = site.open("formed")
    trained = {entry.path.removeprefix(f"{path}/") for entry in store.list(path)}
    assert {"adapter_model.safetensors", "skipjack.json"} <= trained
    result = run_here(tiny.furnish(pod, told), attempt=2)
    assert [form.path for form in result.formats] == [".", "merged"]
    assert result.output_uri is not None
    folder = pulled(result.output_uri, tmp_path / "pulled")
    mark = json.loads((folder / "skipjack.json").read_text())
    assert {name: told["sha256"] for name, told in mark["files"].items()} == {
        name: digest(folder / name) for name in mark["files"]
    }
    assert {*trained, "merged/model.safetensors"} <= {*mark["files"], "skipjack.json"}
    assert not list((pod / "mnt/claims/work/bot/.skipjack/uid-6").glob("exports.json"))
    with pytest.raises(OutputExists, match="holds the result of team/job"):
        ran(pod, job(site, uid="uid-7", output={"uri": site.uri("formed")}))
