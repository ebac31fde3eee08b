# SPDX-License-Identifier: GPL-2.0-or-later
"""The main job: the primary's power is cut under load; the sync site takes over with every acknowledged write, the
async site with a causal prefix whose loss is about what was told."""

import json
import time

import pytest

from lib import oracle, sites

THREE = pytest.mark.lab(primary=1, sync=1, async_=1, fresh=True, data_mib=64, log_mib=64)
MIN_WRITES = 2000


def protected(lab):
    lab.wan("primary1", "sync1", delay_ms=2)
    lab.wan("primary1", "async1", delay_ms=20, loss_pct=0.1)
    group = sites.set_up(lab)
    group.wait_protected()
    return group


def wait_for_writes(writers, count: int, timeout: float = 180) -> dict:
    deadline = time.monotonic() + timeout
    while True:
        logged = writers.logged() if writers.log.exists() else {"acknowledged": 0}
        if logged["acknowledged"] >= count:
            return logged
        assert time.monotonic() < deadline, f"only {logged['acknowledged']} writes in {timeout} s"
        assert writers.job.is_running(), f"the writers ended: {writers.job.wait(check=False).err}"
        time.sleep(1)


@THREE
def test_power_cut_then_takeover_at_both_sites(lab):
    group = protected(lab)
    primary, sync, async_ = lab["primary1"], lab["sync1"], lab["async1"]
    primary.exec(f"dd if={sites.device('data')} of=/dev/null bs=1M count=4 status=none")
    for node in (sync, async_):    # no host reads or writes a live copy
        assert node.exec(f"dd if={sites.device('data')} of=/dev/null bs=4k count=1 iflag=direct", check=False).code != 0

    writers = oracle.Writers(lab, "primary1")
    wait_for_writes(writers, MIN_WRITES)
    told = group.pair("async1")
    primary.power_cut()
    logged = writers.logged()
    assert logged["acknowledged"] >= MIN_WRITES

    # The lease may still stand or have ended: the plan says which; the primary is known to be dead, hence --force.
    plan = json.loads(group.rcctl("sync1", "takeover", sites.GROUP, "--dry-run", "--json", check=False).out)
    assert plan["steps"], plan
    done = group.takeover("sync1", "--force")
    assert done["complete"], done
    verdict = writers.verify(sync, acknowledged_all=True, min_contained=MIN_WRITES)
    assert verdict["lost"] == 0 and verdict["acknowledged"] == logged["acknowledged"]

    # The host of the new primary may write; the copy stays causal whatever is done after.
    sync.exec(f"dd if=/dev/zero of={sites.device('log')} bs=4k count=1 seek=12000 oflag=direct status=none")

    # The async site, as if the sync site were gone too.
    lab.cut("sync1", "async1")
    done = group.takeover("async1", "--force", "--accept-loss-of", "sync1")
    assert done["complete"], done
    verdict = writers.verify(async_, min_contained=MIN_WRITES // 2)
    assert verdict["causal"] is True
    # What status told shortly before the cut bounds what was lost, but for what was written since and one interval.
    assert told["lag_seconds"] is not None
    assert verdict["rpo_s"] <= told["lag_seconds"] + 5, (verdict["rpo_s"], told)


@THREE
def test_a_primary_that_comes_back_takes_no_write_until_it_is_confirmed(lab):
    group = protected(lab)
    lab["primary1"].power_cut()
    assert group.takeover("sync1", "--force")["complete"]
    lab["primary1"].start()
    lost = group.wait_group("primary1", "lost_branch", timeout=60)
    assert lost["reason"] and lost["next_action"]
    assert lab["primary1"].exec(f"dd if=/dev/zero of={sites.device('data')} bs=4k count=1 oflag=direct",
                                check=False).code != 0


@THREE
def test_a_rebooted_primary_goes_on_when_its_peers_know_nothing_newer(lab):
    group = protected(lab)
    writers = oracle.Writers(lab, "primary1")
    wait_for_writes(writers, MIN_WRITES)
    lab["primary1"].power_cut()
    lab["primary1"].start()
    group.wait_group("primary1", "active", timeout=90)
    group.wait_protected()
    again = oracle.Writers(lab, "primary1")
    wait_for_writes(again, MIN_WRITES)
    again.stop()
