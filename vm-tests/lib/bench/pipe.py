# SPDX-License-Identifier: GPL-2.0-or-later
"""The bare limits of the rig: one TLS 1.3 stream with the cipher that the agent chose, from a disk of the primary to
a disk of the copy; and the load on dm-linear, with no copy at all."""

import re
import time

from ..paths import LabError
from . import load, rig

PORT = 7799
BLOCK = 1 << 20
CONFIG = """openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = bench
[bench]
MinProtocol = TLSv1.3
Ciphersuites = {cipher}
"""
SETTINGS = "/tmp/bench-openssl.cnf"


class TlsPipe:
    def __init__(self, lab, cipher: str):
        self.primary, self.copy, self.cipher = lab[rig.PRIMARY], lab[rig.COPY], cipher
        for node in (self.primary, self.copy):
            node.put(CONFIG.format(cipher=cipher).encode(), SETTINGS)

    def transfer(self, source: str, size: int) -> load.Sample:
        """From the first byte read until the copy's disk has the last one."""
        certificate = f"/etc/remotecopy/{rig.COPY}"
        far = self.copy.spawn(f"socat -u -b {BLOCK} OPENSSL-LISTEN:{PORT},reuseaddr,cert={certificate}.crt,"
                              f"key={certificate}.key,verify=0 STDOUT "
                              f"| dd of={rig.SPARE} bs={BLOCK} iflag=fullblock oflag=direct conv=fsync",
                              env={"OPENSSL_CONF": SETTINGS})
        self.copy.exec(f"until ss -Hltn sport = :{PORT} | grep -q .; do sleep 0.05; done")
        began = time.monotonic()
        near = self.primary.exec(f"dd if={source} bs={BLOCK} iflag=direct 2>/dev/null "
                                 f"| socat -u -d -d -b {BLOCK} STDIN OPENSSL:{rig.COPY}:{PORT},verify=0",
                                 env={"OPENSSL_CONF": SETTINGS}, timeout=900)
        done = far.wait(timeout=120)
        seconds = time.monotonic() - began
        if self.cipher not in near.err:
            raise LabError(f"the TLS pipe did not use {self.cipher}:\n{near.err[-2000:]}")
        moved = re.search(r"(\d+) bytes", done.err)
        if not moved or int(moved.group(1)) != size:
            raise LabError(f"the TLS pipe lost data: {size} bytes were sent;\n{done.err[-2000:]}")
        return load.Sample("TLS pipe", size, seconds)


def linear(lab, seconds: float) -> load.Sample:
    """The volume's disk is dm-linear over a RAM disk already."""
    return load.counted("4 KiB random write, dm-linear", lab[rig.PRIMARY], rig.SPARE, seconds, lambda written: None)
