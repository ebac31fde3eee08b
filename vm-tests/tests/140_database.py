# SPDX-License-Identifier: GPL-2.0-or-later
"""PostgreSQL with its data on one volume and its log on the other: both sites recover it; the sync site has every
commit that was acknowledged."""

import time

import pytest

from lib import database, sites

MIN_COMMITS = 50
COMMIT_S = 400      # emulated CPUs on a host that may be busy: how fast they come is not tested here


@pytest.mark.lab(primary=1, sync=1, async_=1, fresh=True, data_mib=192, log_mib=128, include=("postgresql",))
def test_a_database_recovers_at_both_sites(lab):
    lab.wan("primary1", "sync1", delay_ms=2)
    lab.wan("primary1", "async1", delay_ms=20, loss_pct=0.1)
    group = sites.set_up(lab)
    bank = database.Database(lab, "primary1")
    bank.create()
    group.wait_protected()
    bank.begin_commits()
    deadline = time.monotonic() + COMMIT_S
    while bank.acknowledged() < MIN_COMMITS:
        assert time.monotonic() < deadline, f"{bank.acknowledged()} commits in {COMMIT_S} s"
        time.sleep(0.5)
    lab["primary1"].power_cut()
    acknowledged = bank.acknowledged()

    assert group.takeover("sync1", "--force")["complete"]
    at_sync = database.recover(lab["sync1"])
    assert at_sync >= acknowledged, f"{acknowledged - at_sync} acknowledged commits are lost"

    lab.cut("sync1", "async1")
    assert group.takeover("async1", "--force", "--accept-loss-of", "sync1")["complete"]
    at_async = database.recover(lab["async1"])
    assert 0 < at_async <= at_sync
    print(f"acknowledged {acknowledged}, at sync1 {at_sync}, at async1 {at_async}")
