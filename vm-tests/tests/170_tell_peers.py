# SPDX-License-Identifier: GPL-2.0-or-later
"""After a takeover the other sites know who the primary is, say so and what to do next; the copy that remains gets the
new primary as its source by pair create, with a delta; what it then holds is proved by a second takeover there."""

import json
import time

import pytest

from lib import oracle, sites

THREE = pytest.mark.lab(primary=1, sync=1, async_=1, fresh=True, data_mib=64, log_mib=64)
DISKS_MIB = 128
MIN_WRITES = 2000


def wait_for_writes(writers, count: int, timeout: float = 300) -> dict:
    deadline = time.monotonic() + timeout
    while True:
        logged = writers.logged()
        if logged["acknowledged"] >= count:
            return logged
        assert time.monotonic() < deadline, f"only {logged['acknowledged']} writes in {timeout} s"
        assert writers.job.is_running(), f"the writers ended: {writers.job.wait(check=False).err}"
        time.sleep(0.5)


def wait_for(what: str, ready, timeout: float = 60):
    deadline = time.monotonic() + timeout
    while True:
        value = ready()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what}: not within {timeout:g} s"
        time.sleep(0.5)


def known_nodes(group, node: str) -> set:
    return {each["name"] for each in json.loads(group.rcctl(node, "list", "nodes", "--json").out)["nodes"]}


@THREE
def test_the_remaining_copy_learns_of_the_takeover_and_follows_the_new_primary(lab):
    group = sites.set_up(lab)
    group.wait_protected()
    # Sites of a group learn each other from its primary: nobody had to name the async site on the sync site.
    for node, other in (("sync1", "async1"), ("async1", "sync1")):
        wait_for(f"{node} knows {other}", lambda n=node, o=other: o in known_nodes(group, n))
    writers = oracle.Writers(lab, "primary1")
    wait_for_writes(writers, MIN_WRITES)
    lab["primary1"].power_cut()
    acknowledged = writers.logged()["acknowledged"]

    done = group.takeover("sync1", "--force")
    assert done["complete"], done
    told = [step for step in done["steps"] if step["kind"] == "tell_peers"]
    assert [(step["node"], step["state"]) for step in told] == [("async1", "done")], done["steps"]
    assert "rcctl pair create bank --to async1 --mode async" in done["next_action"], done["next_action"]
    assert writers.verify(lab["sync1"], acknowledged_all=True, min_contained=MIN_WRITES)["lost"] == 0

    # The async site knows at once; also after its agent was restarted.
    for restarted in (False, True):
        if restarted:
            group.restart_agent("async1")
        heard = wait_for("async1 names the new primary",
                         lambda: (s := group.status("async1"))["primary_node"] == "sync1" and s["restartable"] and s)
        assert "sync1 is the primary now (generation 2)" in heard["reason"], heard
        assert heard["generation"] == 1, "its own image is still of the generation before"
        assert heard["next_action"].startswith("rcctl pair create bank --to async1 --mode async"), heard
        assert heard["pairs"][0]["state"] == "failed", heard
    events = group.rcctl("async1", "events", "--limit", "200").out
    assert "sync1 is the primary now" in events

    # The application goes on at the sync site; its primary is told to feed the async site: the very command, there.
    again = oracle.Writers(lab, "sync1")
    wait_for_writes(again, 500)
    sent_before = 0
    group.primary = "sync1"
    group.pairs = {"async1": "async"}
    lab["async1"].exec(heard["next_action"], timeout=120)
    group.wait_protected(300)
    pair = group.pair("async1")
    events = group.rcctl("sync1", "events", "--limit", "1000").out
    resync = [line for line in events.splitlines() if "resync of" in line]
    print(f"{acknowledged} writes acknowledged at primary1; {pair['sent_bytes'] - sent_before} bytes sent by sync1; {resync}")
    assert len(resync) == 1 and "agreed up to" in resync[0] and "everything" not in resync[0], resync
    copied_kib = int(resync[0].split("resync of ")[1].split(" KiB")[0])
    assert copied_kib < DISKS_MIB * 1024 // 2, f"{copied_kib} KiB is no delta of {DISKS_MIB} MiB"
    wait_for_writes(again, MIN_WRITES)
    again.stop()
    group.rcctl("sync1", "wait", sites.GROUP, "--for", "drained", "--timeout", "60", timeout=90)
    wait_for("the async site's image is drained", lambda: (group.pair("async1")["lag_bytes"] == 0))

    # The first primary comes back: a lost branch. It feeds nobody, and nobody is taken from the new primary.
    lab["primary1"].start()
    group.wait_group("primary1", "lost_branch", timeout=90)
    refused = group.rcctl("primary1", *sites.pair_words("async1", "async"), check=False)
    assert refused.code == 6, refused.err
    assert group.wait_pair("async1", 30, state="duplex")["link"] == "up"

    # The async site holds all of it: proved by the second takeover.
    lab["sync1"].power_cut()
    done = group.takeover("async1", "--force", "--accept-loss-of", "sync1")
    assert done["complete"], done
    assert again.verify(lab["async1"], acknowledged_all=True, min_contained=MIN_WRITES)["lost"] == 0
    assert group.status("async1")["generation"] == 3

    # The lost branch is cleared as docs/cli.md says, and becomes a copy of the newest primary.
    group.primary = "async1"
    wait_for("the lost branch hears of generation 3 or keeps its state",
             lambda: group.status("primary1")["state"] == "lost_branch")
    for target in ("sync1", "async1"):
        group.rcctl("primary1", "pair", "delete", sites.GROUP, "--to", target, "--force")
    for volume in sites.VOLUMES:
        group.rcctl("primary1", "volume", "delete", sites.GROUP, volume)
    group.rcctl("primary1", "group", "delete", sites.GROUP)
    wait_for("async1 knows primary1", lambda: group.rcctl("async1", *sites.pair_words("primary1", "async"), "--dry-run",
                                                          "--force", check=False).code == 0)
    sites.create_pair(group, "primary1", "async", "--force")
    group.pairs = {"primary1": "async"}
    group.wait_protected(300)
