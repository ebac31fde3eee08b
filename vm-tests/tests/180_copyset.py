# SPDX-License-Identifier: GPL-2.0-or-later
"""Two primary hosts and the host of each one's copy, one copyset: common checkpoints by hold reach both copies; the
power of both primaries is cut under load; the other site takes over as one, and what its two hosts show is causal over
the writes of both; agents are killed before and after it. Afterwards the first site follows the other."""

import json

import pytest

from lib import agent
from lib import copyset as copysets

TWO_AND_TWO = pytest.mark.lab(primary=2, async_=2, fresh=True, data_mib=32, log_mib=32)
MIN_WRITES = 1000             # of each host
MIN_CHECKPOINTS = 5           # held by both primaries
MIN_RELEASES = 3              # different images seen at both copies
RATE = 150                    # writes a second of each host: emulated CPUs, and the cables carry little


def made(lab):
    lab.wan("primary1", "async1", delay_ms=10)
    lab.wan("primary2", "async2", delay_ms=25)
    copyset = copysets.Copyset(lab, 2)
    said = copyset.create()
    print(said)
    assert said.startswith("created: copyset money"), said
    assert "g1@primary on node primary1, master of its site" in said and "registrar" in said, said
    return copyset


@TWO_AND_TWO
def test_a_site_takes_over_from_two_hosts_that_lose_power(lab, tmp_path):
    copyset = made(lab)
    # Repeated, on another node, it changes nothing.
    assert copyset.again("async2").startswith("already so: copyset money")
    shown = json.loads(copyset.rcctl("primary2", "copyset", "show", "money", "--json").out)["copysets"][0]
    assert [seat["node"] for seat in shown["seats"]] == ["async1", "primary1", "async2", "primary2"], shown
    copyset.wait("both copies have an image of one checkpoint",
                 lambda: None not in copyset.images() and len(set(copyset.images())) == 1, 180)

    writers = copyset.writers(RATE)
    before = copyset.common_checkpoints()
    seen = set()

    def advances():
        seen.update(image for image in copyset.images() if image)
        return len(seen) >= MIN_RELEASES and copyset.common_checkpoints() >= before + MIN_CHECKPOINTS
    copyset.wait("common checkpoints are made and released", advances, 180)
    writers.wait_each(MIN_WRITES)
    held = [group["copyset"]["hold_seconds"] for group in copyset.statuses("primary")]
    link = [one for one in json.loads(copyset.rcctl("primary1", "status", "--json").out)["links"] if one["node"] == "primary2"][0]
    print(f"{copyset.common_checkpoints()} checkpoints, images {sorted(seen)}, writes {writers.acknowledged()}, "
          f"held for {held} s, round trip {link['rtt_seconds']} s")
    assert None not in held and max(held) < 0.5, held

    # While a primary lives no site takes over by accident.
    alive = copyset.rcctl("async2", "takeover", "g2", "--dry-run", check=False)
    assert alive.code == 6, alive

    for name in copyset.holders["primary"]:
        lab[name].power_cut()
    acknowledged = writers.acknowledged()
    assert min(acknowledged) >= MIN_WRITES, acknowledged

    # Asked at the host that does not lead the site: it is forwarded.
    done = json.loads(copyset.rcctl("async2", "takeover", "g2", "--force", "--json", timeout=600).out.splitlines()[-1])
    assert done["complete"], done
    for number, name in zip(copyset.numbers, copyset.holders["async"]):
        group = copyset.status(name, number)
        assert group["state"] == "active" and group["generation"] == 2, group
    verdict = writers.verify("async", tmp_path, MIN_WRITES // 2)
    print(f"acknowledged {acknowledged}, {verdict['contained']} contained, {verdict['lost']} lost, {verdict['rpo_s']} s")
    assert verdict["causal"] is True and verdict["torn"] == 0 and verdict["devices_unread"] == 0, verdict


def kill(copyset, name: str) -> None:
    node = copyset.lab[name]
    agent.wait_back(node, agent.kill(node))


def wait_for_a_newer_image(copyset, site: str = "async", timeout: float = 120) -> tuple:
    """At all copies of the site, one that is newer than any of them has now."""
    newest = max((image for image in copyset.images(site) if image), default=(0, 0))

    def newer():
        images = copyset.images(site)
        return None not in images and min(images) > newest
    copyset.wait(f"an image newer than {newest} at site {site}", newer, timeout)
    return newest


@TWO_AND_TWO
def test_agents_die_also_in_a_takeover_and_the_old_site_becomes_the_copy(lab, tmp_path):
    copyset = made(lab)
    writers = copyset.writers(RATE)
    copyset.wait("a first image at both copies", lambda: None not in copyset.images(), 180)
    # Leader and member, of primaries and copies: common checkpoints go on after each.
    for name in ("primary1", "async2", "async1", "primary2"):
        kill(copyset, name)
        wait_for_a_newer_image(copyset)
    copyset.lab["async1"].exec("systemctl restart rcagent", timeout=90)
    wait_for_a_newer_image(copyset)
    writers.wait_each(MIN_WRITES)
    for name in copyset.holders["primary"]:
        lab[name].power_cut()

    # The agent that leads it dies while the site takes over; nobody repeats the command.
    command = copyset.lab["async1"].spawn("rcctl takeover g1 --force")
    copyset.wait("the takeover has begun", lambda: "takeover of the site" in
                 copyset.rcctl("async1", "events", "--limit", "200", check=False).out, 60)
    kill(copyset, "async1")
    command.wait(check=False, timeout=120)
    copyset.wait("both hosts may write",
                 lambda: all(group["state"] == "active" for group in copyset.statuses("async")), 180)
    verdict = writers.verify("async", tmp_path, MIN_WRITES // 2)
    assert verdict["causal"] is True and verdict["torn"] == 0 and verdict["devices_unread"] == 0, verdict
    for name in copyset.holders["async"]:
        kill(copyset, name)
    copyset.wait("both hosts may write again",
                 lambda: all(group["state"] == "active" for group in copyset.statuses("async")), 120)

    # The old primaries come back, and become copies of the site that took over: the same copyset the other way round.
    for number, name in zip(copyset.numbers, copyset.holders["primary"]):
        lab[name].start()
        copyset.wait(f"{name} knows that it is stale", lambda n=name, i=number: copyset.status(n, i)["state"] == "lost_branch", 120)
        copyset.give_up(name, number)
    for number, name in zip(copyset.numbers, copyset.holders["primary"]):
        wrong = copyset.pair(f"async{number}", number, f"primary{3 - number}", check=False)
        assert wrong.code == 6 and "is held by node" in wrong.err, wrong
        copyset.pair(f"async{number}", number, name, "--force")
    copyset.wait_duplex("async")
    copyset.wait("an image at both", lambda: None not in copyset.images("primary"), 180)
    wait_for_a_newer_image(copyset, "primary")
