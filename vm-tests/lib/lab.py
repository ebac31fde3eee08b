# SPDX-License-Identifier: GPL-2.0-or-later
"""A lab: nodes, the cables between every two of them, and what is remembered of it between commands.

A lab is a directory in the cache; lab.json in it is everything needed to go on with it from another process.
Each pair of nodes has its own cable and subnet 10.77.C.0/24. A cable is two unix datagram sockets, one per end:
an end that restarts binds its socket anew and the other end never notices."""

import json
import re
import shlex
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from . import image as images
from . import layer as layers
from . import node_config, paths
from .disks import Sizes
from .paths import LabError
from .vm import Node
from .wan import Wan

NAME = re.compile(r"[a-z][a-z0-9-]{0,11}$")      # a network device is called to-NAME (15 characters at most)


@dataclass
class Options:
    """Shape and size of a lab. nodes: {"primary": 1, "sync": 1} makes primary1 and sync1."""
    nodes: dict = field(default_factory=lambda: {"primary": 1, "sync": 1, "async": 1})
    include: tuple = ()
    copies: tuple = ()          # directory trees laid over the root file system, e.g. the installed product
    kernel: str = "debian"
    mem_mib: int = 512
    smp: int = 2
    mtu: int = 9000             # what the emulated CPUs move per second grows with it: 15, 59, 77 MB/s at 1500, 9000, 65000
    ram_disks: bool = False
    discard: bool = False
    sizes: Sizes = field(default_factory=Sizes)

    def names(self) -> list[str]:
        names = [f"{kind}{i + 1}" for kind, count in self.nodes.items() for i in range(count)]
        bad = [n for n in names if not NAME.match(n)]
        if bad or not names:
            raise LabError(f"node names are up to 12 lower-case letters, digits and dashes, not {', '.join(bad)!r}")
        return names


class Lab:
    def __init__(self, directory: Path, options: Options, image: images.Image, layer: Path, die_with_parent=False):
        self.directory, self.options, self.image, self.layer = directory, options, image, layer
        self.name = directory.name
        self.names = options.names()
        self.sizes, self.ram_disks, self.discard = options.sizes, options.ram_disks, options.discard
        self.mem_mib, self.smp, self.mtu = options.mem_mib, options.smp, options.mtu
        self.die_with_parent = die_with_parent
        self.wans: dict[str, Wan] = {}
        self.jobs: list = []
        self.nodes = {name: Node(self, name) for name in self.names}

    # Making, finding, ending

    @classmethod
    def up(cls, name: str, options: Options, die_with_parent: bool = False, wait: bool = True, log=print) -> "Lab":
        """A new lab with fresh disks, booted. An old one of the same name must be down."""
        directory = paths.LABS / name
        if (directory / "lab.json").exists():
            raise LabError(f"lab {name} exists already. Next: `lab status` to look at it, `lab down` to remove it.")
        image = images.ensure(tuple(options.include), options.kernel, log)
        layer = layers.ensure(image, tuple(Path(c).absolute() for c in options.copies))
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        lab = cls(directory, options, image, layer, die_with_parent)
        lab.save()
        try:
            for node in lab.nodes.values():
                node.create_disks()
            lab.start(wait)
        except BaseException:
            lab.stop_all()
            raise
        return lab

    @classmethod
    def load(cls, name: str) -> "Lab":
        directory = paths.LABS / name
        try:
            known = json.loads((directory / "lab.json").read_text())
        except FileNotFoundError:
            raise LabError(f"there is no lab {name}. Next: `lab up`.") from None
        options = Options(**{**known["options"], "sizes": Sizes(**known["options"]["sizes"])})
        image = images.Image(Path(known["image"]), known["release"])
        lab = cls(directory, options, image, Path(known["layer"]))
        lab.wans = {key: Wan(**value) for key, value in known["wans"].items()}
        return lab

    def save(self) -> None:
        text = json.dumps({
            "options": asdict(self.options), "image": str(self.image.directory), "release": self.image.release,
            "layer": str(self.layer), "wans": {key: asdict(wan) for key, wan in self.wans.items()}}, indent=1)
        aside = self.directory / "lab.json.new"
        aside.write_text(text + "\n")
        aside.rename(self.directory / "lab.json")

    def start(self, wait: bool = True) -> None:
        """Start every node that is off, all at once."""
        for node in self.nodes.values():
            node.start(wait=False)
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        with ThreadPoolExecutor(len(self.nodes)) as pool:
            list(pool.map(lambda node: node.wait_ready(), self.nodes.values()))

    def stop_all(self) -> None:
        self.close_jobs()
        for node in self.nodes.values():
            node.discard_vm()

    def down(self) -> None:
        """End every VM and forget the lab with its disks."""
        self.stop_all()
        shutil.rmtree(self.directory, ignore_errors=True)

    def close_jobs(self) -> None:
        while self.jobs:
            self.jobs.pop().close()

    def __getitem__(self, name: str) -> Node:
        if name not in self.nodes:
            raise LabError(f"no node {name} in lab {self.name}; it has {', '.join(self.names)}")
        return self.nodes[name]

    # Cables

    def _cable(self, a: str, b: str) -> int:
        self[a], self[b]
        if a == b:
            raise LabError(f"there is no cable from {a} to itself")
        low, high = sorted((self.names.index(a), self.names.index(b)))
        return 1 + sum(len(self.names) - 1 - i for i in range(low)) + (high - low - 1)

    def address(self, node: str, peer: str) -> str:
        """The IP address of a node on its cable to a peer."""
        return f"10.77.{self._cable(node, peer)}.{self.names.index(node) + 1}"

    def mac(self, node: str, peer: str) -> str:
        return f"52:54:00:77:{self._cable(node, peer):02x}:{self.names.index(node) + 1:02x}"

    def cables_of(self, node: str) -> list[tuple[str, str, str]]:
        """(MAC, own socket, peer's socket) relative to the node's directory. The sockets lie outside of the node
        directories, which lose theirs at a start."""
        return [(self.mac(node, peer), f"../{node}-{peer}.cable", f"../{peer}-{node}.cable")
                for peer in self.names if peer != node]

    def wan_of(self, source: str, target: str) -> Wan:
        return self.wans.get(f"{source}>{target}", Wan())

    def wan(self, a: str, b: str, one_way: bool = False, clear: bool = False, cut: bool | None = None, **changes) -> None:
        """Change the cable a-b (both directions; one_way: only from a to b): delay_ms (per direction), jitter_ms,
        loss_pct, rate_mbit, reorder_pct, cut=True / False. clear: back to a plain cable first."""
        for source, target in [(a, b)] if one_way else [(a, b), (b, a)]:
            self._cable(source, target)
            wan = (Wan() if clear else self.wan_of(source, target)).changed(cut=cut, **changes)
            self.wans[f"{source}>{target}"] = wan
            self.save()
            if self[source].is_running():
                script = "; ".join(shlex.join(c) for c in wan.commands(node_config.device_to(target)))
                self[source].exec(f"set -e; {script}")

    def cut(self, a: str, b: str, one_way: bool = False) -> None:
        self.wan(a, b, one_way, cut=True)

    def heal(self, a: str, b: str, one_way: bool = False) -> None:
        self.wan(a, b, one_way, cut=False)

    def plain(self) -> None:
        """All cables plain again, all nodes running."""
        for node in self.nodes.values():
            if not node.is_running():
                node.start(wait=False)
        self.wait_ready()
        for key in [k for k, wan in self.wans.items() if wan != Wan()]:
            source, _, target = key.partition(">")
            self.wan(source, target, one_way=True, clear=True)

    def status(self) -> list[dict]:
        rows = []
        for name, node in self.nodes.items():
            wans = {peer: self.wan_of(name, peer).text() for peer in self.names if peer != name}
            rows.append({"node": name, "state": "running" if node.is_running() else "off", "pid": node.process.pid(),
                         "to": wans})
        return rows


def remove_stale() -> None:
    """Remove labs that a killed test run left behind (run-PID-...); their VMs died with it."""
    for directory in paths.LABS.glob("run-*"):
        pid = directory.name.split("-")[1]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            try:
                Lab.load(directory.name).down()
            except LabError:
                shutil.rmtree(directory, ignore_errors=True)
