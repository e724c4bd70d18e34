"""What the cluster's steps stand on: keys of caches, processes known by their birth, and errors that say what to do."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster import __main__ as command
from tests.cluster import elsewhere, steps
from tests.cluster.cluster import Cluster


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(steps, "ROOT", tmp_path)
    monkeypatch.setattr(steps, "LOGS", tmp_path / "logs")
    monkeypatch.setattr(steps, "PIDS", tmp_path / "pids")
    return tmp_path


def test_a_key_changes_with_content_and_with_name_and_with_nothing_else(folders: Path) -> None:
    source = folders / "source"
    source.mkdir()
    (source / "a").write_text("1")
    first = steps.key(source)
    os.utime(source / "a", (0, 0))
    (source / "__pycache__").mkdir()
    (source / "__pycache__/a.pyc").write_text("compiled")
    assert steps.key(source) == first
    (source / "a").write_text("2")
    changed = steps.key(source)
    (source / "a").rename(source / "b")
    assert len({first, changed, steps.key(source)}) == 3


def test_a_process_is_started_once_and_ended(folders: Path) -> None:
    steps.spawn("sleeper", sys.executable, "-c", "import time; time.sleep(60)")
    noted = (folders / "pids/sleeper").read_text()
    steps.spawn("sleeper", sys.executable, "-c", "raise SystemExit('a second one')")
    assert (folders / "pids/sleeper").read_text() == noted
    assert steps.processes() == {"sleeper": True}
    steps.end("sleeper")
    assert steps.processes() == {}


def test_another_process_with_the_same_id_is_not_ours_and_is_left_alone(folders: Path) -> None:
    (folders / "pids").mkdir()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        (folders / "pids/kubelet").write_text(f"{stranger.pid} 1")
        assert not steps.alive("kubelet")
        steps.end("kubelet")
        assert stranger.poll() is None
        stranger.kill()


def test_a_program_that_is_not_there_is_told_by_name() -> None:
    with pytest.raises(steps.Failed, match="kubelet ended with 127 as soon as it was started"):
        steps.spawn("kubelet", "/nowhere/kubelet")


def test_a_socket_that_was_left_behind_does_not_listen(folders: Path) -> None:
    place = folders / "containerd.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place))
        server.listen()
        assert steps.listens(place)
    assert place.exists()
    assert not steps.listens(place)


def test_a_configuration_that_says_the_same_is_not_touched(folders: Path) -> None:
    place = steps.write(folders / "made/proxy.yaml", {"mode": "iptables"})
    os.utime(place, (0, 0))
    steps.write(place, {"mode": "iptables"})
    assert place.stat().st_mtime == 0
    steps.write(place, {"mode": "nftables"})
    assert "nftables" in place.read_text()


def test_a_half_written_note_is_a_process_that_is_gone(folders: Path) -> None:
    (folders / "pids").mkdir()
    (folders / "pids/etcd").write_text("")
    assert not steps.alive("etcd")


def test_what_a_command_answers_is_kept_apart_from_its_warnings() -> None:
    assert steps.sh("sh", "-c", "echo warning >&2; echo answer") == "answer\n"


def test_a_step_that_fails_shows_its_last_lines_and_keeps_its_log(folders: Path) -> None:
    with pytest.raises(steps.Failed, match="ended with 3:\nno space left"):
        steps.sh("sh", "-c", "echo no space left; exit 3", log="build")
    assert (folders / "logs/build.log").read_text() == "no space left\n"


def test_an_image_without_a_tag_is_refused_by_the_name_of_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKIPJACK_OPERATOR_IMAGE", "registry.example:5000/skipjack/operator")
    with pytest.raises(steps.Failed, match="SKIPJACK_OPERATOR_IMAGE"):
        elsewhere.setting("SKIPJACK_OPERATOR_IMAGE")
    monkeypatch.setenv("SKIPJACK_OPERATOR_IMAGE", "registry.example:5000/skipjack/operator:1")
    assert elsewhere.setting("SKIPJACK_OPERATOR_IMAGE").endswith("operator:1")


@pytest.mark.parametrize("count", [0, 3])
def test_a_number_of_nodes_that_cannot_be_is_refused_before_anything_is_touched(count: int) -> None:
    with pytest.raises(steps.Failed, match=f"--nodes {count}: a cluster has 1 to 2 nodes"):
        command.up(count)


def test_the_node_that_holds_the_control_plane_is_not_lost() -> None:
    with pytest.raises(steps.Failed, match="node 1 holds the control plane"):
        command.lose(1)


def test_a_cluster_says_how_to_reach_it() -> None:
    lines = Cluster("/k", "/kubectl", "/helm", "o:1", "t:1", "http://hub", "/audit.log").lines()
    assert "OPERATOR_IMAGE=o:1" in lines
    assert lines[-1] == "export KUBECONFIG=/k"
