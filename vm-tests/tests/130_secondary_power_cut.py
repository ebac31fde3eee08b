# SPDX-License-Identifier: GPL-2.0-or-later
"""The power of a copy is cut in the middle of an apply: it redoes the release from its journal, and shows nothing
half-done."""

import time

import pytest

from lib import oracle, sites

CUTS = 3


@pytest.mark.lab(primary=1, async_=1, fresh=True, data_mib=64, log_mib=64)
def test_power_cuts_of_the_secondary_in_mid_apply(lab):
    group = sites.set_up(lab)
    group.wait_protected()
    writers = oracle.Writers(lab, "primary1", rate=300)
    hit = 0
    for seed in range(CUTS):
        deadline = time.monotonic() + 60
        while True:         # an apply is short: look for one, cut at once
            state = group.status("async1")["state"]
            if state == "updating":
                hit += 1
                break
            if time.monotonic() > deadline:
                break
        lab["async1"].power_cut(seed=seed)
        lab["async1"].start()
        group.wait_protected()
    assert hit > 0, "no cut met an apply"
    assert writers.logged()["acknowledged"] >= 1000
    lab["primary1"].power_cut()
    assert group.takeover("async1", "--force")["complete"]
    assert writers.verify(lab["async1"])["causal"] is True
