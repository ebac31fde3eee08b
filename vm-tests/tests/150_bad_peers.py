# SPDX-License-Identifier: GPL-2.0-or-later
"""Somebody with a wrong certificate gets nothing; somebody with a good one who talks nonsense is refused, logged, and
has no effect on the agent, its pairs or its data."""

import pytest

from lib import agent, bad_peer, oracle, paths, sites

REFUSED = {"garbage", "replayed", "out-of-range", "records-gap"}   # the connection ends; the others are only ignored


def talk(node, to: str, story: str, directory: str = "/etc/remotecopy", ca: str = "/etc/remotecopy/ca.crt") -> str:
    name = node.name
    return node.sh(["/usr/bin/python3", "/tmp/bad_peer.py", to, str(sites.PORT), f"{directory}/{name}.crt",
                    f"{directory}/{name}.key", ca, story], timeout=60)


@pytest.mark.lab(primary=1, sync=1, async_=1, fresh=True, data_mib=64, log_mib=64)
def test_wrong_certificates_and_malformed_frames_have_no_effect(lab):
    pairs = {"sync1": "sync"}       # async1 is the bad peer: its own agent is off
    group = sites.set_up(lab, pairs=pairs)
    group.wait_protected()
    writers = oracle.Writers(lab, "primary1", rate=300)
    bad = lab["async1"]
    bad.exec("systemctl stop rcagent")
    bad.put(paths.REPO / "vm-tests/lib/bad_peer.py", "/tmp/bad_peer.py")
    pids = {name: agent.main_pid(lab[name]) for name in ("primary1", "sync1")}

    # A certificate of another authority.
    bad.exec("rcctl ca init --dir /var/lib/other-ca && rcctl ca issue async1 --dir /var/lib/other-ca")
    for to in pids:
        assert "refused" in talk(bad, to, "garbage", "/var/lib/other-ca")
        events = group.rcctl(to, "events").out
        assert "refused a connection" in events, events

    # A good certificate.
    for to in pids:
        for story in bad_peer.STORIES:
            answer = talk(bad, to, story)
            if story in REFUSED:
                assert "closed" in answer or "refused" in answer, f"{to}, {story}: {answer}"
        assert agent.main_pid(lab[to]) == pids[to], f"rcagent on {to} did not survive"
        log = lab[to].sh("journalctl -u rcagent --no-pager")
        assert "node async1 opens a session without a number: refused" in log
        assert "sent what is refused" in group.rcctl(to, "events", "--limit", "1000").out
    assert group.pair("sync1")["state"] == "duplex" and group.pair("sync1")["sync"] == "current"

    assert writers.logged()["acknowledged"] >= 1000
    lab["primary1"].power_cut()
    assert group.takeover("sync1", "--force")["complete"]
    assert writers.verify(lab["sync1"], acknowledged_all=True)["lost"] == 0
