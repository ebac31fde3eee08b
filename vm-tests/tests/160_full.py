# SPDX-License-Identifier: GPL-2.0-or-later
"""What is full: a ring while the agent is away, a journal while the copy is away. The application goes on, the state and
its reason are told, and the pair comes back by itself, by delta."""

import time

import pytest

from lib import oracle, sites

RING_MIB = 8


def write_mib(node, mib: int, seek: int = 16) -> None:
    """Beyond the first 16 MiB, which are the oracle's."""
    node.exec(f"dd if=/dev/urandom of={sites.device('data')} bs=1M count={mib} seek={seek} oflag=direct status=none", timeout=180)


@pytest.mark.lab(primary=1, async_=1, fresh=True, data_mib=160, log_mib=32)
def test_a_full_ring_ends_in_a_delta_resync_not_in_a_stall(lab):
    group = sites.set_up(lab, ring_mib=RING_MIB)
    group.wait_protected()
    node = lab["primary1"]
    sent_before = group.pair("async1")["sent_bytes"]
    node.exec("systemctl stop rcagent")
    write_mib(node, 4 * RING_MIB)           # four rings, and nobody reads them: must not wait for anybody
    assert "lost" in node.sh("dmsetup status bank-data"), node.sh("dmsetup status bank-data")
    node.exec("systemctl start rcagent")
    group.wait_protected()
    sent = group.pair("async1")["sent_bytes"] - sent_before
    assert sent < 3 * 4 * RING_MIB << 20, f"{sent >> 20} MiB were sent for {4 * RING_MIB} MiB that changed"
    events = group.rcctl("primary1", "events", "--limit", "1000").out
    assert "resync" in events
    writers = oracle.Writers(lab, "primary1")
    deadline = time.monotonic() + 120
    while not writers.log.exists() or writers.logged()["acknowledged"] < 1000:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    writers.stop()
    group.rcctl("primary1", "wait", sites.GROUP, "--for", "drained", "--timeout", "60", timeout=90)
    node.power_cut()
    assert group.takeover("async1", "--force")["complete"]
    assert writers.verify(lab["async1"], acknowledged_all=True)["lost"] == 0


@pytest.mark.lab(primary=1, async_=1, fresh=True, data_mib=160, log_mib=32)
def test_on_full_throttle_lets_the_application_wait_and_keeps_the_order(lab):
    group = sites.set_up(lab, ring_mib=RING_MIB, on_full="throttle")
    group.wait_protected()
    node = lab["primary1"]
    lab.wan("primary1", "async1", rate_mbit=16)
    began = time.monotonic()
    write_mib(node, 3 * RING_MIB)
    took = time.monotonic() - began
    status = group.status("primary1")
    ring = status["ring"]["bytes"]
    assert took > (3 * RING_MIB - 1.2 * RING_MIB) / 2, f"{took:.1f} s: a link of 2 MiB/s slowed nobody down"
    assert "waits for room" in status["reason"], status["reason"]
    pair = group.pair("async1")
    assert pair["state"] == "duplex" and pair["link"] == "up", pair
    # What the copy lacks fits into the ring; its image is older by what came since its checkpoint.
    assert 0 < pair["lag_bytes"] <= ring + (4 << 20), pair
    words = node.sh("dmsetup status bank-data").split()
    assert words[5] == "throttled" and int(words[-1]) > 0, words
    # A link that is down delays nobody, throttle or not.
    lab.cut("primary1", "async1")
    deadline = time.monotonic() + 60
    while group.pair("async1")["link"] == "up":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    began = time.monotonic()
    write_mib(node, 2 * RING_MIB, seek=64)
    assert time.monotonic() - began < 20, "the application waited for a link that is down"
    lab.heal("primary1", "async1")
    lab.wan("primary1", "async1", clear=True)
    group.wait_protected()
    group.rcctl("primary1", "wait", sites.GROUP, "--for", "drained", "--timeout", "60", timeout=90)
    events = group.rcctl("primary1", "events", "--limit", "1000").out
    assert events.count("resync of") == 1, "only the initial copy: the order was kept\n" + events


@pytest.mark.lab(primary=1, async_=1, fresh=True, journal_mib=32, data_mib=160, log_mib=32)
def test_full_journals_suspend_the_pair_and_never_the_application(lab):
    group = sites.set_up(lab, ring_mib=RING_MIB)
    group.wait_protected()
    node = lab["primary1"]
    lab.cut("primary1", "async1")
    for _ in range(6):                      # more than ring and spill together; less than the copy's journal differs
        write_mib(node, 16)
    pair = group.pair("async1")
    assert pair["reason"] and pair["next_action"]
    assert pair["state"] != "duplex", pair
    lab.heal("primary1", "async1")
    group.wait_protected()
    group.rcctl("primary1", "wait", sites.GROUP, "--for", "drained", "--timeout", "60", timeout=90)
    want = node.sh(f"dd if={sites.device('data')} bs=1M skip=16 count=16 iflag=direct status=none | sha256sum", timeout=120)
    node.power_cut()
    assert group.takeover("async1", "--force")["complete"]
    have = lab["async1"].sh(f"dd if={sites.device('data')} bs=1M skip=16 count=16 iflag=direct status=none | sha256sum",
                            timeout=120)
    assert have == want
