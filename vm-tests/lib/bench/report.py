# SPDX-License-Identifier: GPL-2.0-or-later
"""What the samples mean: medians, their spread, and the ratios that have a floor. Rates by themselves are the rig's;
only ratios of the same run say something about the product."""

import json
import statistics
from dataclasses import asdict

from . import host

# numerator, denominator, floor, words
FLOORS = [
    ("async", "drbd_a", 1.5, "async 4 KiB random write, queue depth 16: remotecopy / DRBD protocol A"),
    ("sync", "drbd_c", 1.0, "sync 4 KiB random write, queue depth 16: remotecopy / DRBD protocol C"),
    ("initial_copy", "tls_pipe", 0.8, "initial copy: remotecopy / one TLS stream of the same cipher"),
]
TOLD = [("async", "linear", "async: remotecopy / no copy at all (dm-linear)"),
        ("drbd_a", "linear", "DRBD protocol A / no copy at all (dm-linear)")]


def ratios(samples: dict) -> list[dict]:
    """samples: name -> list of Sample, one per round. A ratio is the median over the rounds of the ratio within the
    round: what slows the rig for a while slows both."""
    rows = []
    for above, below, floor, words in FLOORS + [(a, b, None, w) for a, b, w in TOLD]:
        if not samples.get(above) or not samples.get(below):
            continue
        each = [a.mib_s / b.mib_s for a, b in zip(samples[above], samples[below])]
        ratio = statistics.median(each)
        disturbed = any(sample.others > host.DISTURBED for sample in samples[above] + samples[below])
        met = None if floor is None or disturbed else ratio >= floor
        rows.append({"ratio": round(ratio, 2), "least": round(min(each), 2), "most": round(max(each), 2), "of": above,
                     "to": below, "floor": floor, "met": met, "disturbed": disturbed, "words": words})
    return rows


def table(samples: dict) -> str:
    lines = [f"{'measurement':46} {'MiB/s':>8} {'spread':>15} {'IOPS':>7} {'p99 ms':>8}  rounds"]
    for rounds in samples.values():
        rates = [sample.mib_s for sample in rounds]
        four_k = "iops" in rounds[0].extra
        iops = f"{statistics.median(rates) * 256:7.0f}" if four_k else " " * 7
        p99 = f"{statistics.median(s.extra['latency_ms_p99'] for s in rounds):8.2f}" if four_k else " " * 8
        lines.append(f"{rounds[0].what:46} {statistics.median(rates):8.2f} {min(rates):7.2f}-{max(rates):<7.2f} "
                     f"{iops} {p99}  {len(rounds)}")
    return "\n".join(lines)


def verdicts(rows: list[dict]) -> str:
    lines = []
    for row in rows:
        judged = "NOT JUDGED, the host was busy" if row["disturbed"] else "met" if row["met"] else "MISSED"
        floor = "" if row["floor"] is None else f"   floor {row['floor']:g}: {judged}"
        lines.append(f"{row['ratio']:6.2f}  ({row['least']:.2f}-{row['most']:.2f})  {row['words']}{floor}")
    return "\n".join(lines)


def write(path, rig: dict, samples: dict, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = {"schema": "remotecopy.bench/1", "rig": rig, "ratios": rows,
            "samples": {name: [{**asdict(s), "mib_s": round(s.mib_s, 3)} for s in rounds]
                        for name, rounds in samples.items()}}
    path.write_text(json.dumps(text, indent=1) + "\n")
