# SPDX-License-Identifier: GPL-2.0-or-later
"""A WAN that is cut: an async link never stalls the application, a sync link at most for the configured time; both
come back without copying everything."""

import time

import pytest

from lib import oracle, sites

THREE = pytest.mark.lab(primary=1, sync=1, async_=1, fresh=True, data_mib=64, log_mib=64)
ACK_TIMEOUT_S = 5      # default of a group
DISKS_MIB = 128
MARGIN_S = 3           # a busy host: VMs of one machine share two cores


def acknowledged(writers) -> int:
    return writers.logged()["acknowledged"] if writers.log.exists() else 0


def resyncs(group) -> list[str]:
    events = group.rcctl("primary1", "events", "--limit", "1000").out
    return [line for line in events.splitlines() if ": resync of " in line]


def wait_more(writers, more: int, timeout: float = 120) -> None:
    target = acknowledged(writers) + more
    deadline = time.monotonic() + timeout
    while acknowledged(writers) < target:
        assert time.monotonic() < deadline, f"{acknowledged(writers)} of {target} writes after {timeout} s"
        assert writers.job.is_running(), writers.job.wait(check=False).err
        time.sleep(0.5)


@THREE
def test_wan_cut_and_heal(lab):
    group = sites.set_up(lab)
    group.wait_protected()
    # Less than the machine can carry: a link only catches up with what leaves it something to spare.
    writers = oracle.Writers(lab, "primary1", rate=150)
    wait_more(writers, 500)

    # Async: the application does not notice.
    lab.cut("primary1", "async1")
    wait_more(writers, 1500)
    assert writers.logged()["longest_stall_ms"] < 2000
    pair = group.wait_pair("async1", link="down", timeout=30)
    assert pair["reason"] and pair["next_action"]
    assert pair["lag_seconds"] is None or pair["lag_seconds"] > 0, "lag is never 0 for a link that is down"

    # Sync too: at most the configured time, then the group goes on alone, and says so.
    lab.cut("primary1", "sync1")
    wait_more(writers, 1000)
    stall = writers.logged()["longest_stall_ms"] / 1000
    assert stall <= ACK_TIMEOUT_S + MARGIN_S, stall
    status = group.status()
    assert status["alone"] is True
    assert group.pair("sync1")["sync"] == "alone"

    lab.heal("primary1", "async1")
    lab.heal("primary1", "sync1")
    group.wait_protected()
    assert group.status()["alone"] is False
    wait_more(writers, 300)

    # A delta by command while writes go on: what may differ is copied, no more; a current copy is left alone.
    refused = group.rcctl("primary1", "pair", "resync", sites.GROUP, "--to", "sync1", check=False)
    assert refused.code == 6 and "current" in refused.err and "--force" in refused.err, refused.err
    done_before = len(resyncs(group))
    group.rcctl("primary1", "pair", "resync", sites.GROUP, "--to", "async1")
    deadline = time.monotonic() + 120
    while len(found := resyncs(group)) == done_before:
        assert time.monotonic() < deadline, "no resync began"
        time.sleep(0.5)
    assert len(found) == done_before + 1 and "async1: resync of" in found[-1] and "agreed up to" in found[-1], found
    copied_kib = int(found[-1].split("resync of ")[1].split(" KiB")[0])
    assert copied_kib < DISKS_MIB * 1024 // 2, f"{copied_kib} KiB is no delta of {DISKS_MIB} MiB"
    group.wait_protected()
    wait_more(writers, 300)
    writers.stop()
    for target in ("async1", "sync1"):
        pair = group.pair(target)
        print(f"{target}: {pair['sent_bytes']} bytes sent in all")

    # Both copies hold everything once they are drained.
    group.rcctl("primary1", "wait", sites.GROUP, "--for", "drained", "--timeout", "60", timeout=90)
    lab["primary1"].power_cut()
    assert group.takeover("sync1", "--force")["complete"]
    verdict = writers.verify(lab["sync1"], acknowledged_all=True)
    assert verdict["lost"] == 0
    lab.cut("sync1", "async1")
    assert group.takeover("async1", "--force", "--accept-loss-of", "sync1")["complete"]
    assert writers.verify(lab["async1"])["causal"] is True
