# SPDX-License-Identifier: GPL-2.0-or-later
"""Primary and sync site lose power at once: every acknowledged write is in the sync site's journal. With an agent
that leaves out its flushes the same test must find lost writes, or it proves nothing."""

import json
import time

import pytest

from lib import oracle, paths, sites

TWO = pytest.mark.lab(primary=1, sync=1, fresh=True, data_mib=64, log_mib=64)
MIN_WRITES = 1500
FAULTY_AGENT = paths.REPO / "build/release/userspace/tests/faulty/rcagent_skips_flushes"


def cut_both_under_load(lab, unflushed: int = 0):
    """The sync site has so many unflushed writes on its journal's disk then: the kernel's own metadata lies on it too, and
    flushes it now and then. Returns the group, the writers, and how many writes were acknowledged."""
    group = sites.set_up(lab)
    group.wait_protected()
    writers = oracle.Writers(lab, "primary1")
    deadline = time.monotonic() + 120
    while writers.logged()["acknowledged"] < MIN_WRITES:
        assert time.monotonic() < deadline, f"{writers.logged()['acknowledged']} writes in 120 s"
        time.sleep(0.2)
    lab["sync1"].freeze_unflushed("journal", unflushed)
    # The hardest cut there is: of what was not flushed nothing is left.
    lab["sync1"].power_cut(seed=1, keep=0)
    lab["primary1"].power_cut(seed=1)
    acknowledged = writers.logged()["acknowledged"]
    lab["sync1"].start()
    return group, writers, acknowledged


@TWO
def test_what_was_acknowledged_survives_a_power_cut_of_both_sites(lab):
    group, writers, acknowledged = cut_both_under_load(lab)
    assert group.takeover("sync1", "--force")["complete"]
    verdict = writers.verify(lab["sync1"], acknowledged_all=True, min_contained=MIN_WRITES)
    assert verdict["lost"] == 0 and verdict["acknowledged"] == acknowledged


@TWO
def test_an_agent_that_leaves_out_flushes_is_found_out(lab):
    assert FAULTY_AGENT.exists(), f"{FAULTY_AGENT} is not there. Next: make build"
    lab["sync1"].put(FAULTY_AGENT.read_bytes(), "/usr/sbin/rcagent", mode=0o755)
    group, writers, _ = cut_both_under_load(lab, unflushed=20)
    assert "leaves out flushes" in lab["sync1"].sh("journalctl -u rcagent --no-pager")
    done = group.rcctl("sync1", "takeover", sites.GROUP, "--json", "--force", check=False, timeout=300)
    if done.code == 0 and json.loads(done.out.strip().splitlines()[-1])["complete"]:
        report, code, words = writers.judge(lab["sync1"], acknowledged_all=True)
        assert code != 0, f"the faulty agent lost nothing that the checker sees: {report} {words}"
    else:
        print(f"the takeover itself refused: {done.err}")
