# SPDX-License-Identifier: GPL-2.0-or-later
"""The product set up on the nodes of a lab, as the README tells an administrator to do it: certificates, settings,
nodes, a group with two volumes, its pairs. And what tests ask of it: status, waiting for a state, takeover, the
oracle's writers and verdicts."""

import json
import shlex
import time
from dataclasses import dataclass

from .paths import LabError

PORT = 7700
GROUP = "bank"
VOLUMES = {"data": ("/dev/lab/data", "/dev/lab/meta-data"), "log": ("/dev/lab/log", "/dev/lab/meta-log")}
JOURNAL = "/dev/lab/journal"
ORACLE_PORT = "/dev/virtio-ports/org.remotecopy.oracle"


def device(volume: str) -> str:
    return f"/dev/mapper/{GROUP}-{volume}"


def site_of(node: str) -> str:
    return node.rstrip("0123456789")


@dataclass
class Sites:
    """A group whose primary is `primary`; pairs: node -> mode."""
    lab: object
    primary: str
    pairs: dict

    def rcctl(self, node: str, *words: str, check=True, timeout=120):
        return self.lab[node].exec(["rcctl", *words], check=check, timeout=timeout)

    def status(self, node: str | None = None) -> dict:
        """The group as that node (default: the primary) reports it."""
        report = json.loads(self.rcctl(node or self.primary, "status", GROUP, "--json").out)
        return report["groups"][0]

    def pair(self, target: str, node: str | None = None) -> dict:
        for pair in self.status(node)["pairs"]:
            if pair["target"] == target:
                return pair
        raise LabError(f"{node or self.primary} reports no pair with {target}")

    def wait_pair(self, target: str, timeout: float = 120, **wanted) -> dict:
        """Until the pair's fields have these values, e.g. state="duplex", sync="current"."""
        deadline = time.monotonic() + timeout
        while True:
            pair = self.pair(target)
            if all(pair.get(key) == value for key, value in wanted.items()):
                return pair
            if time.monotonic() > deadline:
                raise LabError(f"pair {GROUP}@{target} is not {wanted} after {timeout:g} s: {json.dumps(pair, indent=1)}")
            time.sleep(0.25)

    def wait_protected(self, timeout: float = 900) -> None:
        """Until every pair is in duplex, connected, has nothing to catch up with, and the sync ones are current."""
        deadline = time.monotonic() + timeout
        for target, mode in self.pairs.items():
            wanted = {"state": "duplex"}
            if mode == "sync":
                wanted["sync"] = "current"
            # A pair whose link is down stays in duplex, its reason says so.
            while not self.wait_pair(target, timeout, **wanted)["reason"].startswith("every write "):
                if time.monotonic() > deadline:
                    raise LabError(f"pair {GROUP}@{target} is not connected after {timeout:g} s")
                time.sleep(0.25)

    def wait_group(self, node: str, state: str, timeout: float = 60) -> dict:
        deadline = time.monotonic() + timeout
        while True:
            group = self.status(node)
            if group["state"] == state:
                return group
            if time.monotonic() > deadline:
                raise LabError(f"group {GROUP} on {node} is not {state} after {timeout:g} s: {json.dumps(group, indent=1)}")
            time.sleep(0.25)

    def takeover(self, node: str, *flags: str) -> dict:
        """Executes it and returns what rcctl reports at the end."""
        out = self.rcctl(node, "takeover", GROUP, "--json", *flags, timeout=300).out
        return json.loads(out.strip().splitlines()[-1]) if out.strip().count("\n") else json.loads(out)

    def restart_agent(self, node: str) -> None:
        self.lab[node].exec("systemctl restart rcagent", timeout=90)


def install_settings(lab) -> None:
    """Certificates made on the first node, settings on all, agents running."""
    names = lab.names
    first = lab[names[0]]
    first.exec("rcctl ca init --dir /var/lib/ca")
    for name in names:
        first.exec(f"rcctl ca issue {name} --dir /var/lib/ca")
    authority = first.read("/var/lib/ca/ca.crt")
    for name in names:
        node = lab[name]
        node.exec("mkdir -p /etc/remotecopy")
        node.put(authority, "/etc/remotecopy/ca.crt")
        node.put(first.read(f"/var/lib/ca/{name}.crt"), f"/etc/remotecopy/{name}.crt")
        node.put(first.read(f"/var/lib/ca/{name}.key"), f"/etc/remotecopy/{name}.key", mode=0o600)
        settings = (f'node = "{name}"\nsite = "{site_of(name)}"\nlisten = "0.0.0.0:{PORT}"\n'
                    f'certificate = "/etc/remotecopy/{name}.crt"\nkey = "/etc/remotecopy/{name}.key"\n'
                    'ca = "/etc/remotecopy/ca.crt"\n')
        node.put(settings.encode(), "/etc/remotecopy/remotecopy.toml")
    for name in names:
        lab[name].exec("systemctl enable --now rcagent", timeout=90)


def set_up(lab, primary: str = "primary1", pairs: dict | None = None, ring_mib: int = 0, on_full: str = "suspend") -> Sites:
    """Everything from bare nodes to a group whose initial copy has begun. Disks must be blank (mark fresh=True)."""
    if pairs is None:
        pairs = {name: ("sync" if name.startswith("sync") else "async") for name in lab.names if name != primary}
    install_settings(lab)
    sites = Sites(lab, primary, pairs)
    for name in lab.names:
        if name != primary:
            sites.rcctl(primary, "node", "add", name, "--address", f"{name}:{PORT}", "--site", site_of(name))
    sites.rcctl(primary, "group", "create", GROUP, "--journal", JOURNAL, "--on-full", on_full,
                *(["--ring-mib", str(ring_mib)] if ring_mib else []))
    for volume, (data, meta) in VOLUMES.items():
        sites.rcctl(primary, "volume", "create", GROUP, volume, "--device", data, "--meta", meta)
    for target, mode in pairs.items():
        create_pair(sites, target, mode)
    return sites


def pair_words(target: str, mode: str) -> list:
    words = ["pair", "create", GROUP, "--to", target, "--mode", mode, "--journal", JOURNAL]
    for volume, (data, meta) in VOLUMES.items():
        words += ["--volume", f"{volume}={data},{meta}"]
    return words


def create_pair(sites: Sites, target: str, mode: str, *flags: str) -> None:
    sites.rcctl(sites.primary, *pair_words(target, mode), *flags)


def oracle_command(verb: str, devices=None, **options) -> str:
    """rc-causal over both volumes, or over the devices given. Option names with _ for -."""
    words = ["rc-causal", verb]
    for path in devices or [device(volume) for volume in VOLUMES]:
        words += ["--device", path]
    for key, value in options.items():
        flag = "--" + key.replace("_", "-")
        words += [flag] if value is True else [flag, str(value)]
    return shlex.join(words)
