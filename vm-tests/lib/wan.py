# SPDX-License-Identifier: GPL-2.0-or-later
"""One direction of a cable as a WAN: delay, loss, rate, reordering, cut; made by netem in the sending guest.

Each direction is set on its own; delay is what one direction adds, so both directions with 20 ms are an RTT of
40 ms. The settings belong to the lab, not to the guest: a node that restarts comes up with them."""

from dataclasses import asdict, dataclass, replace

from .paths import LabError

QUEUE_PACKETS = 200_000         # so that the queue never adds a loss of its own


@dataclass(frozen=True)
class Wan:
    delay_ms: float = 0
    jitter_ms: float = 0
    loss_pct: float = 0
    rate_mbit: float = 0
    reorder_pct: float = 0
    cut: bool = False

    def changed(self, **changes) -> "Wan":
        """Only what is given (not None) changes. A reordering needs a delay to show."""
        wan = replace(self, **{name: value for name, value in changes.items() if value is not None})
        if wan.reorder_pct and not wan.delay_ms:
            raise LabError("reordering needs a delay: early packets overtake delayed ones. Next: give --delay too.")
        if not 0 <= wan.loss_pct <= 100 or not 0 <= wan.reorder_pct <= 100:
            raise LabError("loss and reordering are percentages from 0 to 100")
        if min(wan.delay_ms, wan.jitter_ms, wan.rate_mbit) < 0:
            raise LabError("delay, jitter and rate cannot be negative")
        return wan

    def commands(self, device: str) -> list[list[str]]:
        """What brings a device to this state, whatever its state was."""
        # Loss and reordering act on packets, not on the 64 KiB segments that TCP hands down.
        segments = "1" if self.loss_pct or self.reorder_pct else "65535"
        first = ["ip", "link", "set", device, "gso_max_segs", segments]
        if self == Wan():
            return [first, ["tc", "qdisc", "replace", "dev", device, "root", "pfifo_fast"]]
        netem = ["tc", "qdisc", "replace", "dev", device, "root", "netem", "limit", str(QUEUE_PACKETS)]
        if self.delay_ms:
            netem += ["delay", f"{self.delay_ms:g}ms"] + ([f"{self.jitter_ms:g}ms"] if self.jitter_ms else [])
        if self.cut or self.loss_pct:
            netem += ["loss", "100%" if self.cut else f"{self.loss_pct:g}%"]
        if self.reorder_pct:
            netem += ["reorder", f"{self.reorder_pct:g}%"]
        if self.rate_mbit:
            netem += ["rate", f"{self.rate_mbit:g}mbit"]
        return [first, netem]

    def text(self) -> str:
        if self.cut:
            return "cut"
        words = [f"{name.rpartition('_')[0]} {value:g} {name.rpartition('_')[2]}" for name, value in
                 asdict(self).items() if name != "cut" and value]
        return ", ".join(words) or "plain cable"
