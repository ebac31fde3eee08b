# SPDX-License-Identifier: GPL-2.0-or-later
"""Taking away what was made, under load: what stands on it refuses it by name; both sides are cleaned; data stays on the
backing devices; devices can be used again. And with a dead peer."""

import json
import time

import pytest

from lib import oracle, sites

REFUSED = 6


def rcctl_refused(group, node: str, *words: str, code: int = REFUSED) -> str:
    done = group.rcctl(node, *words, check=False)
    assert done.code == code, (words, done.code, done.out, done.err)
    assert "next:" in done.err, done.err
    return done.err


def listed(group, node: str) -> dict:
    return json.loads(group.rcctl(node, "list", "--json").out)


def wait_more(writers, more: int, timeout: float = 180) -> None:
    target = writers.logged()["acknowledged"] + more
    deadline = time.monotonic() + timeout
    while writers.logged()["acknowledged"] < target:
        assert time.monotonic() < deadline, f"no {more} writes within {timeout} s"
        assert writers.job.is_running(), writers.job.wait(check=False).err
        time.sleep(0.5)


def content(node, device: str) -> str:
    return node.sh(f"dd if={device} bs=1M iflag=direct status=none | sha256sum", timeout=180).split()[0]


def add_nodes(group) -> None:
    for name in group.pairs:
        group.rcctl("primary1", "node", "add", name, "--address", f"{name}:{sites.PORT}", "--site", sites.site_of(name))


@pytest.mark.lab(primary=1, sync=1, async_=1, fresh=True, data_mib=64, log_mib=64)
def test_what_was_made_is_taken_away_under_load_and_made_again(lab):
    group = sites.set_up(lab)
    group.wait_protected()
    writers = oracle.Writers(lab, "primary1", rate=300)
    wait_more(writers, 500)

    # What something stands on is refused, and named.
    assert "bank@sync1" in rcctl_refused(group, "primary1", "node", "remove", "sync1")
    told = rcctl_refused(group, "primary1", "volume", "delete", sites.GROUP, "data")
    assert "rcctl pair delete bank --to sync1" in told and "rcctl pair delete bank --to async1" in told
    assert "has pairs" in rcctl_refused(group, "primary1", "group", "delete", sites.GROUP)
    assert "pair delete" in rcctl_refused(group, "sync1", "group", "delete", sites.GROUP)
    told = rcctl_refused(group, "primary1", "volume", "create", sites.GROUP, "extra", "--device", "/dev/lab/x", "--meta",
                         "/dev/lab/y")
    for part in ("rcctl pair delete bank --to sync1", "rcctl pair create bank --to sync1 --mode sync",
                 f"--journal {sites.JOURNAL}", "--volume data=/dev/lab/data,/dev/lab/meta-data", "--volume extra=DEVICE,META",
                 "group of its own"):
        assert part in told, told

    # A pair, asked for on the copy's own node. The other pair does not notice.
    out = group.rcctl("async1", "pair", "delete", sites.GROUP).out
    assert out.startswith("removed: pair bank@async1"), out
    assert "keeps the image of checkpoint" in out, out
    assert "bank-" not in lab["async1"].sh("dmsetup ls")
    assert listed(group, "async1")["groups"] == [] and listed(group, "async1")["pairs"] == []
    assert [pair["target"] for pair in group.status()["pairs"]] == ["sync1"]
    group.wait_pair("sync1", 10, state="duplex", sync="current")
    wait_more(writers, 300)

    # The current sync pair: closed first, so that no write waits for the deadline.
    before = writers.logged()["longest_stall_ms"]
    group.rcctl("primary1", "pair", "delete", sites.GROUP, "--to", "sync1")
    wait_more(writers, 300)
    stall = writers.logged()["longest_stall_ms"]
    assert stall < max(before, 4000), f"a write waited {stall} ms"
    status = group.status()
    assert status["pairs"] == [] and status["alone"] is False and status["state"] == "active", status
    assert "bank-" not in lab["sync1"].sh("dmsetup ls")
    again = group.rcctl("primary1", "pair", "delete", sites.GROUP, "--to", "sync1").out
    assert again.startswith("already so"), again
    writers.stop()

    # A volume that is open stays.
    primary = lab["primary1"]
    user = primary.spawn("exec 3</dev/mapper/bank-log; exec sleep 600")
    deadline = time.monotonic() + 30
    while " 0" in primary.sh("dmsetup info -c --noheadings --separator ' ' -o name,open bank-log"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert "open" in rcctl_refused(group, "primary1", "volume", "delete", sites.GROUP, "log")
    primary.exec("pkill -x sleep", check=False)
    user.wait(check=False)
    held = {volume: content(primary, sites.device(volume)) for volume in sites.VOLUMES}
    assert "data, log" in rcctl_refused(group, "primary1", "group", "delete", sites.GROUP)
    for volume, (data, meta) in sites.VOLUMES.items():
        out = group.rcctl("primary1", "volume", "delete", sites.GROUP, volume).out
        assert out.startswith("removed:") and f"{data} keeps all data" in out, out
        assert primary.exec(f"test -e {sites.device(volume)}", check=False).code != 0
        assert content(primary, data) == held[volume], "the data on the backing device is what hosts had"
        assert group.rcctl("primary1", "volume", "delete", sites.GROUP, volume).out.startswith("already so")
    assert group.status()["state"] == "inactive"
    group.rcctl("primary1", "group", "delete", sites.GROUP)
    assert group.rcctl("primary1", "group", "delete", sites.GROUP).out.startswith("already so")
    for name in group.pairs:
        group.rcctl("primary1", "node", "remove", name)
        group.rcctl(name, "node", "remove", "primary1")
    left = listed(group, "primary1")
    assert [node["name"] for node in left["nodes"]] == ["primary1"] and left["volumes"] == [] and left["groups"] == []
    group.restart_agent("primary1")
    assert listed(group, "primary1")["groups"] == []

    # And again, with the data that is there; nothing but the copies' data devices needs --force.
    add_nodes(group)
    group.rcctl("primary1", "group", "create", sites.GROUP, "--journal", sites.JOURNAL)
    for volume, (data, meta) in sites.VOLUMES.items():
        group.rcctl("primary1", "volume", "create", sites.GROUP, volume, "--device", data, "--meta", meta, "--keep-data")
    assert {volume: content(primary, sites.device(volume)) for volume in sites.VOLUMES} == held
    for target, mode in group.pairs.items():
        assert "--force" in rcctl_refused(group, "primary1", *sites.pair_words(target, mode))
        sites.create_pair(group, target, mode, "--force")
    group.wait_protected()
    writers = oracle.Writers(lab, "primary1")
    wait_more(writers, 1000)
    primary.power_cut()
    assert group.takeover("sync1", "--force")["complete"]
    assert writers.verify(lab["sync1"], acknowledged_all=True)["lost"] == 0


@pytest.mark.lab(primary=1, async_=1, fresh=True, data_mib=64, log_mib=64)
def test_a_pair_with_a_dead_node_is_forgotten_by_force_on_each_side(lab):
    group = sites.set_up(lab)
    group.wait_protected()
    lab["primary1"].power_cut()
    deadline = time.monotonic() + 60
    while group.pair("async1", "async1")["link"] != "down":
        assert time.monotonic() < deadline
        time.sleep(0.5)
    told = rcctl_refused(group, "async1", "pair", "delete", sites.GROUP, code=1)
    assert "rcctl takeover bank" in told and "--force" in told, told
    assert listed(group, "async1")["groups"], "nothing was changed"
    out = group.rcctl("async1", "pair", "delete", sites.GROUP, "--force").out
    assert "was not told" in out, out
    assert listed(group, "async1")["groups"] == [] and "bank-" not in lab["async1"].sh("dmsetup ls")
    lab["primary1"].start()
    waiting = group.wait_group("primary1", "unconfirmed", timeout=60)
    assert waiting["next_action"]
    deadline = time.monotonic() + 60
    while group.rcctl("primary1", "pair", "delete", sites.GROUP, check=False).code:   # the link may not be up yet
        assert time.monotonic() < deadline
        time.sleep(1)
    group.rcctl("primary1", "confirm", sites.GROUP, "--force")
    group.wait_group("primary1", "active", timeout=60)

    # The other way round: the copy's node is dead, the primary forgets it; later the copy is let go.
    sites.create_pair(group, "async1", "async", "--force")
    group.wait_protected()
    lab["async1"].power_cut()
    deadline = time.monotonic() + 60
    while group.pair("async1")["link"] != "down":
        assert time.monotonic() < deadline
        time.sleep(0.5)
    told = rcctl_refused(group, "primary1", "pair", "delete", sites.GROUP, "--to", "async1", code=1)
    assert "--force" in told
    assert [pair["target"] for pair in group.status()["pairs"]] == ["async1"]
    done = group.rcctl("primary1", "pair", "delete", sites.GROUP, "--to", "async1", "--force")
    assert "pair delete bank --to async1" in done.out and "warning" in done.err
    assert group.status()["pairs"] == []
    lab["async1"].start()
    deadline = time.monotonic() + 60
    while True:
        done = group.rcctl("async1", "pair", "delete", sites.GROUP, check=False)
        if not done.code:
            break
        assert time.monotonic() < deadline, done.err
        time.sleep(1)
    assert "knows of no such pair" in done.out, done.out
    assert listed(group, "async1")["groups"] == []
