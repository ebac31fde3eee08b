# SPDX-License-Identifier: GPL-2.0-or-later
"""kill -9 of each agent, again and again under load: nothing is lost, nothing is resynchronised, every round moved
records."""

import pytest

from lib import agent, oracle, sites

ROUNDS = 20


def resyncs(group) -> list[str]:
    events = group.rcctl("primary1", "events", "--limit", "10000").out
    found = [line for line in events.splitlines() if ": resync of " in line]
    assert len(found) >= len(group.pairs), "the initial copies are not among the events"
    return found


@pytest.mark.lab(primary=1, sync=1, async_=1, fresh=True, data_mib=64, log_mib=64)
def test_killed_agents_lose_nothing_and_resynchronise_nothing(lab):
    group = sites.set_up(lab)
    group.wait_protected()
    writers = oracle.Writers(lab, "primary1", rate=150)
    at_first = resyncs(group)
    before = 0
    for number in range(ROUNDS):
        if number % 2 == 0:     # one after the other; else each while the others are away
            for name in lab.names:
                agent.wait_back(lab[name], agent.kill(lab[name]))
        else:
            killed = {name: agent.kill(lab[name]) for name in lab.names}
            for name, pid in killed.items():
                agent.wait_back(lab[name], pid)
        group.wait_protected()
        now = writers.logged()["acknowledged"]
        assert now > before, f"round {number} moved no record"
        before = now
    assert before > ROUNDS * 50
    assert resyncs(group) == at_first, "a killed agent caused a resync"
    assert {name: agent.restarts(lab[name]) for name in lab.names} == dict.fromkeys(lab.names, ROUNDS), "one died of itself"
    writers.stop()
    lab["primary1"].power_cut()
    assert group.takeover("sync1", "--force")["complete"]
    assert writers.verify(lab["sync1"], acknowledged_all=True)["lost"] == 0
