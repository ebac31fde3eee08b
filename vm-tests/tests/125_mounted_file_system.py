# SPDX-License-Identifier: GPL-2.0-or-later
"""A file system on a volume, mounted at boot as the README says: it stays mounted and takes writes while the agent is
killed and restarted, and is there again after a reboot."""

import time

import pytest

from lib import agent, sites

MOUNT = "/srv/data"


def mounted(node) -> bool:
    return node.exec(["mountpoint", "-q", MOUNT], check=False).code == 0


@pytest.mark.lab(primary=1, async_=1, fresh=True, data_mib=64, log_mib=64)
def test_a_mounted_file_system_outlives_the_agent_and_comes_back_at_boot(lab):
    group = sites.set_up(lab)
    group.wait_protected()
    node, device = lab["primary1"], sites.device("data")
    node.exec(f"mkfs.ext4 -q {device} && mkdir -p {MOUNT}")
    node.exec(f"echo '{device} {MOUNT} ext4 nofail,x-systemd.requires=remotecopy.target 0 2' >> /etc/fstab")
    node.exec(f"systemctl daemon-reload && systemctl start {MOUNT[1:].replace('/', '-')}.mount", timeout=60)
    assert mounted(node)
    first = node.sh(f"findmnt -n -o ID {MOUNT}")

    node.exec(f"echo before > {MOUNT}/file && sync {MOUNT}/file")
    killed = agent.main_pid(node)
    node.exec(f"kill -9 {killed}; echo killed >> {MOUNT}/file && sync {MOUNT}/file")
    agent.wait_back(node, killed)
    group.wait_protected()
    node.exec("systemctl stop rcagent", timeout=60)
    node.exec(f"echo stopped >> {MOUNT}/file && sync {MOUNT}/file")
    node.exec("systemctl start rcagent", timeout=60)
    group.wait_protected()
    assert node.sh(f"findmnt -n -o ID {MOUNT}") == first, "it was mounted again"

    node.shutdown()
    node.start()
    deadline = time.monotonic() + 120
    while not mounted(node):
        assert time.monotonic() < deadline, node.exec("systemctl list-jobs; systemctl status srv-data.mount", check=False).out
        time.sleep(0.5)
    assert node.sh(f"cat {MOUNT}/file").split() == ["before", "killed", "stopped"]

    # What the file system holds reaches the copy.
    node.exec(f"echo last >> {MOUNT}/file && sync {MOUNT}/file")
    group.wait_protected()
    group.rcctl("primary1", "wait", sites.GROUP, "--for", "drained", "--timeout", "60", timeout=90)
    node.power_cut()
    assert group.takeover("async1", "--force")["complete"]
    copy = lab["async1"]
    copy.exec(f"mkdir -p {MOUNT} && mount {device} {MOUNT}")
    assert copy.sh(f"cat {MOUNT}/file").split() == ["before", "killed", "stopped", "last"]
    copy.exec(f"umount {MOUNT}")
