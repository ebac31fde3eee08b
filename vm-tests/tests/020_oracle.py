# SPDX-License-Identifier: GPL-2.0-or-later
"""The oracle can fail: a disk that drops writes (dm-flakey) is found out, an honest one passes. Without this no green
verdict of the later tests would mean anything."""

import json

import pytest

pytestmark = pytest.mark.lab(primary=1)

MIN_WRITES = 2000


def write_and_judge(node, data: str, rate: int = 0):
    """Writers over `data` and the log disk, at most `rate` a second; the verdict on the two disks below."""
    node.exec(f"rm -f /tmp/oracle; rc-causal write --device {data} --device /dev/lab/log --log /tmp/oracle --queue-depth 4 "
              f"--span 8M --count {MIN_WRITES * 2} --min-writes {MIN_WRITES} {f'--rate {rate}' if rate else ''}", timeout=180)
    done = node.exec(f"rc-causal verify --device /dev/lab/data --device /dev/lab/log --log /tmp/oracle --json "
                     f"--acknowledged-all --min-contained {MIN_WRITES}", check=False, timeout=120)
    return json.loads(done.out.strip().splitlines()[-1]), done.code


def test_an_honest_disk_passes(lab):
    verdict, code = write_and_judge(lab["primary1"], "/dev/lab/data")
    assert code == 0, verdict
    assert verdict["causal"] is True and verdict["lost"] == 0 and verdict["acknowledged"] >= MIN_WRITES


def test_a_disk_that_drops_writes_is_found_out(lab):
    node = lab["primary1"]
    sectors = node.sh("blockdev --getsz /dev/lab/data")
    # One second honest, two seconds of writes that are acknowledged and dropped, and so on.
    node.exec(["dmsetup", "create", "drops", "--table", f"0 {sectors} flakey /dev/lab/data 0 1 2 1 drop_writes"])
    try:
        verdict, code = write_and_judge(node, "/dev/mapper/drops", rate=1000)   # four seconds at least: it meets a drop
    finally:
        node.exec("dmsetup remove --retry drops")
    assert code == 1, verdict
    assert verdict["causal"] is False and verdict["lost"] > 0
