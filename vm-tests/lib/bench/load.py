# SPDX-License-Identifier: GPL-2.0-or-later
"""The load: one fio job, the same for everybody, and the one way to count it. A byte counts when it is durable at
the far end, and the time runs until then: `seconds` is the load's own run time plus the wait until the far end has
everything. What a competitor hides in queues it pays for in the wait."""

import json
import time
from dataclasses import dataclass, field

MIB = 1 << 20


@dataclass
class Sample:
    """One measurement. bytes over seconds is what counts; extra is for the reader; others: see host.py."""
    what: str
    bytes: int
    seconds: float
    extra: dict = field(default_factory=dict)
    others: float = 0.0

    @property
    def mib_s(self) -> float:
        return self.bytes / MIB / self.seconds


def random_write(node, path: str, seconds: float) -> tuple[int, float, dict]:
    """4 KiB random writes, queue depth 16, incompressible data; (bytes, seconds of the load, latencies in ms)."""
    command = ["fio", "--name=bench", f"--filename={path}", "--ioengine=libaio", "--direct=1", "--rw=randwrite",
               "--bs=4k", "--iodepth=16", "--time_based", f"--runtime={seconds:g}", "--refill_buffers",
               "--randrepeat=0", "--norandommap", "--output-format=json"]
    report = json.loads(node.exec(command, timeout=seconds * 3 + 120).out)
    job = report["jobs"][0]
    if job["error"]:
        raise RuntimeError(f"fio on {path}: error {job['error']}; see the kernel's log of {node.name}")
    latency = job["write"]["clat_ns"]
    return (job["write"]["io_bytes"], job["write"]["runtime"] / 1000,
            {"iops": round(job["write"]["iops"]), "latency_ms_mean": round(latency["mean"] / 1e6, 3),
             "latency_ms_p99": round(latency["percentile"]["99.000000"] / 1e6, 3)})


def counted(what: str, node, path: str, seconds: float, wait_durable) -> Sample:
    """Run the load and wait_durable(bytes); count as described above."""
    written, load_s, extra = random_write(node, path, seconds)
    ended = time.monotonic()
    more = wait_durable(written) or {}
    drain_s = time.monotonic() - ended
    return Sample(what, written, load_s + drain_s, {"load_s": round(load_s, 2), "drain_s": round(drain_s, 2), **extra,
                                                    **more})
