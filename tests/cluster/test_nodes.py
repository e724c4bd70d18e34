"""Nodes as values, and what goes with one: nothing of another node's, and nothing of a stranger's."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.cluster import elsewhere, node, traces
from tests.cluster.node import NODES, Node
from tests.cluster.steps import Failed


@pytest.mark.parametrize("what", ["name", "device", "address", "pods", "folder", "store", "containerd"])
def test_two_nodes_share_no_name_address_or_folder(what: str) -> None:
    assert len({getattr(each, what) for each in NODES}) == len(NODES)


def test_names_of_devices_fit_into_what_the_kernel_keeps() -> None:
    assert all(len(each.device) <= 15 for each in NODES)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host whose places of traces lie in a folder, with traces of both nodes and of a stranger."""
    monkeypatch.setattr(node, "RUN", tmp_path / "run")
    for name in ("SHIM_SOCKETS", "CNI_RESULTS", "LOG_LINKS", "DEVICE_PLUGINS"):
        monkeypatch.setattr(traces, name, tmp_path / name.lower() / "place")
        getattr(traces, name).mkdir(parents=True)
    for number in (1, 2):
        (traces.CNI_RESULTS / f"skipjack-n{number}-id{number}-eth0").touch()
        (traces.CNI_RESULTS / f"cni-loopback-id{number}-lo").touch()
        (traces.LOG_LINKS / f"web{number}.log").symlink_to(Node(number).folder / "pod-logs/web/0.log")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(traces.SHIM_SOCKETS / "dead"))
    return tmp_path


def left() -> list[str]:
    places = (traces.SHIM_SOCKETS, traces.CNI_RESULTS, traces.LOG_LINKS)
    return [entry.name for place in places if place.exists() for entry in sorted(place.iterdir())]


def test_a_nodes_traces_go_and_the_other_nodes_stay(host: Path) -> None:
    traces.remove(Node(1))
    assert left() == ["dead", "cni-loopback-id2-lo", "skipjack-n2-id2-eth0", "web2.log"]


def test_when_all_nodes_are_gone_so_are_their_folders(host: Path) -> None:
    for each in NODES:
        traces.remove(each)
    traces.remove_shared()
    assert left() == []
    assert not any(
        place.exists() for place in (traces.SHIM_SOCKETS.parent, traces.CNI_RESULTS.parent, traces.LOG_LINKS)
    )


def test_a_strangers_traces_stay_and_so_do_their_folders(host: Path) -> None:
    (traces.LOG_LINKS / "theirs.log").symlink_to("/var/log/pods/theirs/0.log")
    (traces.CNI_RESULTS / "theirs-id9-eth0").touch()
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(str(traces.SHIM_SOCKETS / "alive"))
        alive.listen()
        for each in NODES:
            traces.remove(each)
        traces.remove_shared()
    assert left() == ["alive", "theirs-id9-eth0", "theirs.log"]


def test_a_cluster_of_somebody_elses_is_not_touched_by_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies = {"STATE": tmp_path / "cluster.json", "KUBECONFIG": tmp_path / "theirs.kubeconfig"}
    for name, place in copies.items():
        place.write_text("theirs")
        monkeypatch.setattr(elsewhere, name, place)
    monkeypatch.setenv("SKIPJACK_CONTEXT", "theirs")
    monkeypatch.setenv("PATH", str(tmp_path))  # whatever it called would not be found
    elsewhere.down()
    assert not any(place.exists() for place in copies.values())
    monkeypatch.delenv("SKIPJACK_CONTEXT")
    with pytest.raises(Failed, match="install kind first"):
        elsewhere.down()
