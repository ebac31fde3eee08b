# SPDX-License-Identifier: GPL-2.0-or-later
"""What an administrator changes while a group runs: settings, at every node and without an interruption; a suspend that
the copy calls by its name; a resync in place where the copy's journal is too small; compression on a slow network; and
a site that took over, has no pair yet and was away: it takes no write before somebody who holds a copy knew no newer
generation."""

import json
import time

import pytest

from lib import sites


def wait_for(what: str, ready, timeout: float = 60):
    deadline = time.monotonic() + timeout
    while True:
        value = ready()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what}: not within {timeout:g} s"
        time.sleep(0.5)


def settings(group, node: str) -> tuple:
    row = json.loads(group.rcctl(node, "list", "groups", "--json").out)["groups"][0]
    return row["on_full"], row["checkpoint_ms"], row["ack_timeout_ms"]


def fence(group, node: str) -> str:
    return json.loads(group.rcctl(node, "list", "groups", "--json").out)["groups"][0]["fence"]


@pytest.mark.lab(primary=1, sync=1, async_=1, fresh=True, data_mib=32, log_mib=32)
def test_settings_change_everywhere_while_the_pairs_go_on(lab):
    group = sites.set_up(lab)
    group.wait_protected()
    change = ["group", "set", sites.GROUP, "--on-full", "throttle", "--checkpoint-interval", "500ms", "--ack-timeout", "3s"]
    assert group.rcctl("sync1", *change).out.startswith("changed: group bank")   # asked at a copy
    assert group.rcctl("primary1", *change).out.startswith("already so: group bank")
    for node in lab.names:
        assert settings(group, node) == ("throttle", 500, 3000), node
    group.restart_agent("sync1")
    group.wait_protected()
    assert settings(group, "sync1") == ("throttle", 500, 3000)

    # An async copy that is away gets them when it is back; without a sync copy the time-out can't become shorter.
    lab.cut("primary1", "async1")
    wait_for("the cut is noticed", lambda: group.pair("async1")["link"] != "up")
    changed = group.rcctl("primary1", "group", "set", sites.GROUP, "--ack-timeout", "2s")
    assert "async1" in changed.err, changed.err
    assert settings(group, "async1")[2] == 3000
    lab.heal("primary1", "async1")
    wait_for("async1 has heard", lambda: settings(group, "async1")[2] == 2000)
    lab.cut("primary1", "sync1")
    wait_for("the cut is noticed", lambda: group.pair("sync1")["link"] != "up")
    refused = group.rcctl("primary1", "group", "set", sites.GROUP, "--ack-timeout", "1s", check=False)
    assert refused.code == 6 and "sync1" in refused.err, refused.err
    lab.heal("primary1", "sync1")
    group.wait_protected()
    events = group.rcctl("primary1", "events", "--limit", "1000").out
    assert events.count("resync of") == 2, "only the initial copies\n" + events

    # With fence=stop a write fails that the sync copy doesn't get; go lets writes go on without it.
    node = lab["primary1"]
    write = f"dd if=/dev/zero of={sites.device('log')} bs=4k count=1 seek=9 oflag=direct status=none"
    group.rcctl("primary1", "group", "set", sites.GROUP, "--fence", "stop")
    for name in lab.names:
        assert fence(group, name) == "stop", name
    node.exec(write, timeout=60)
    lab.cut("primary1", "sync1")
    failed = node.exec(write, timeout=120, check=False)
    assert failed.code != 0 and "Input/output error" in failed.err, failed
    stopped = wait_for("the status says so", lambda: (p := group.pair("sync1"))["reason"].startswith("writes wait, and fail") and p)
    assert "--fence go" in stopped["next_action"], stopped
    changed = group.rcctl("primary1", "group", "set", sites.GROUP, "--fence", "go")
    assert changed.out.startswith("changed: group bank"), changed
    wait_for("the primary is alone", lambda: group.status("primary1")["alone"])
    node.exec(write, timeout=60)
    lab.heal("primary1", "sync1")
    group.wait_protected()

    # The copy calls a suspend a suspend.
    group.rcctl("primary1", "pair", "suspend", sites.GROUP, "--to", "async1")
    copy = wait_for("suspended at the copy", lambda: (p := group.pair("async1", "async1"))["state"] == "suspended" and p)
    assert copy["reason"] == "suspended by command" and "pair resume" in copy["next_action"], copy
    group.rcctl("async1", "pair", "resume", sites.GROUP)
    group.wait_protected()
    assert "holds a copy" in group.rcctl("sync1", "node", "remove", "async1", check=False).err

    # The sync site takes over, and then is away before it has a pair.
    lab["primary1"].power_cut()
    assert group.takeover("sync1", "--force")["complete"]
    lab["async1"].power_cut()
    lab["sync1"].power_cut()
    lab["sync1"].start()
    group.primary = "sync1"
    waiting = group.wait_group("sync1", "unconfirmed", timeout=90)
    assert "async1" in wait_for("the reason", lambda: (r := group.status("sync1")["reason"]) if "no pair" in
                                group.status("sync1")["reason"] else None), waiting
    time.sleep(3)
    assert group.status("sync1")["state"] == "unconfirmed"
    lab["async1"].start()
    group.wait_group("sync1", "active", timeout=90)


@pytest.mark.lab(primary=1, async_=1, fresh=True, journal_mib=32, data_mib=160, log_mib=32)
def test_a_delta_that_does_not_fit_is_applied_in_place_by_command(lab):
    group = sites.set_up(lab, ring_mib=8)
    group.wait_protected()
    node = lab["primary1"]
    group.rcctl("primary1", "pair", "suspend", sites.GROUP, "--to", "async1")
    node.exec(f"dd if=/dev/urandom of={sites.device('data')} bs=1M count=96 oflag=direct status=none", timeout=180)
    group.rcctl("primary1", "pair", "resume", sites.GROUP, "--to", "async1")
    refused = wait_for("no room", lambda: (p := group.pair("async1"))["state"] == "failed" and p)
    assert "--in-place" in refused["next_action"], refused
    assert group.status("async1")["restartable"], "the old image stays"
    resync = ["pair", "resync", sites.GROUP, "--to", "async1", "--in-place"]
    asked = group.rcctl("primary1", *resync, check=False)
    assert asked.code == 6 and "no takeover" in asked.err, asked.err
    lab.wan("primary1", "async1", rate_mbit=100)
    group.rcctl("primary1", *resync, "--force")
    told = wait_for("told at the copy", lambda: (s := group.status("async1"))["pairs"][0]["reason"].startswith(
        "resynchronising in place") and s)
    assert not told["restartable"] and "no takeover is possible" in told["pairs"][0]["reason"], told
    wait_for("told at the primary", lambda: "in place" in group.pair("async1")["reason"], 20)
    lab.wan("primary1", "async1", rate_mbit=16)
    group.wait_protected(300)
    # What compresses goes over a slow network compressed, as far as it has to wait for the network: how much that is
    # depends on what the buffers in between take.
    node.exec(f"yes remotecopy | dd of={sites.device('data')} bs=1M count=24 iflag=fullblock oflag=direct status=none", timeout=180)
    group.rcctl("primary1", "wait", sites.GROUP, "--for", "drained", "--timeout", "60", timeout=90)
    link = json.loads(group.rcctl("primary1", "status", "--json").out)["links"][0]
    assert link["saved_bytes"] > 1 << 20, link
    print(f"saved {link['saved_bytes']} bytes of {24 << 20}")
    lab.wan("primary1", "async1", clear=True)
    group.rcctl("primary1", "wait", sites.GROUP, "--for", "drained", "--timeout", "60", timeout=90)
    want = node.sh(f"sha256sum < {sites.device('data')}", timeout=120)
    node.power_cut()
    assert group.takeover("async1", "--force")["complete"]
    assert lab["async1"].sh(f"sha256sum < {sites.device('data')}", timeout=120) == want
