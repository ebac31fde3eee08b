# SPDX-License-Identifier: GPL-2.0-or-later
"""A sync site of two nodes: it becomes current as one; when one link fails all of its nodes close before any host goes
on alone; the host that is isolated waits for its deadline; it becomes current again; the power of both primaries is cut
under load, and the takeover shows every acknowledged write of both."""

import json

import pytest

from lib import agent
from lib import copyset as copysets

MIN_WRITES = 800              # of each host, in each part
RATE = 100
ACK_TIMEOUT_S = 5             # default of a group


def more_writes(copyset, writers, timeout: float = 180) -> None:
    wanted = [count + MIN_WRITES for count in writers.acknowledged()]
    copyset.wait(f"each host has {MIN_WRITES} writes more",
                 lambda: all(has >= count for has, count in zip(writers.acknowledged(), wanted)), timeout)


@pytest.mark.lab(primary=2, sync=2, fresh=True, data_mib=32, log_mib=32)
def test_a_sync_site_of_two_nodes_is_current_closes_and_takes_over_as_one(lab, tmp_path):
    lab.wan("primary1", "sync1", delay_ms=2)
    lab.wan("primary2", "sync2", delay_ms=2)
    copyset = copysets.Copyset(lab, 2, mode="sync")
    said = copyset.create()
    assert said.startswith("created: copyset money"), said
    copyset.wait_current()
    for number, name in zip(copyset.numbers, copyset.holders["sync"]):
        assert copyset.status(name, number)["current"] is True, copyset.status(name, number)
    writers = copyset.writers(RATE)
    more_writes(copyset, writers)

    # One host is cut off from everybody: neither can hear that the nodes of the site have closed, and both go on.
    for other in ("sync1", "sync2", "primary1"):
        lab.cut("primary2", other)
    copyset.wait("no copy is called current", lambda: "current" not in copyset.sync_states(), 6 * ACK_TIMEOUT_S)
    for number, name in zip(copyset.numbers, copyset.holders["sync"]):
        assert copyset.status(name, number)["current"] is False, copyset.status(name, number)
    copyset.wait("both go on alone", lambda: all(group["alone"] for group in copyset.statuses("primary")), 6 * ACK_TIMEOUT_S)
    for other in ("sync1", "sync2", "primary1"):
        lab.heal("primary2", other)
    copyset.wait_current(300)
    more_writes(copyset, writers)

    # An agent of the site dies: nothing is lost, and it is current again by itself.
    agent.wait_back(lab["sync2"], agent.kill(lab["sync2"]))
    copyset.wait_current(300)
    more_writes(copyset, writers)
    copyset.wait_current(300)
    assert set(copyset.sync_states()) == {"current"}
    for name in copyset.holders["primary"]:
        lab[name].power_cut()
    acknowledged = writers.acknowledged()
    done = json.loads(copyset.rcctl("sync2", "takeover", "g2", "--force", "--json", timeout=600).out.splitlines()[-1])
    assert done["complete"], done
    for number, name in zip(copyset.numbers, copyset.holders["sync"]):
        group = copyset.status(name, number)
        assert group["state"] == "active" and group["generation"] == 2, group
    verdict = writers.verify("sync", tmp_path, MIN_WRITES, acknowledged_all=True)
    print(f"acknowledged {acknowledged}: {verdict}")
    assert verdict["causal"] is True and verdict["lost"] == 0 and verdict["torn"] == 0, verdict
    assert verdict["devices_unread"] == 0, verdict
