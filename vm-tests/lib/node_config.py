# SPDX-License-Identifier: GPL-2.0-or-later
"""What differs between the nodes of a lab, as a tar that guest/init unpacks over the root file system at every
boot: host name, /etc/hosts, machine id, and etc/lab/boot.sh with the node's cables, WANs and RAM disks."""

import hashlib
import io
import shlex
import tarfile


def tar(lab, name: str) -> bytes:
    files = {
        "etc/hostname": f"{name}\n",
        "etc/machine-id": hashlib.sha256(f"{lab.name}/{name}".encode()).hexdigest()[:32] + "\n",
        "etc/hosts": hosts(lab, name),
        "etc/lab/boot.sh": boot_script(lab, name),
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, text in files.items():
            data = text.encode()
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(data), 0o644
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def hosts(lab, name: str) -> str:
    """Every peer by the cable to it."""
    lines = ["127.0.0.1 localhost", f"127.0.1.1 {name}", "::1 localhost ip6-localhost"]
    lines += [f"{lab.address(peer, name)} {peer}" for peer in lab.names if peer != name]
    return "\n".join(lines) + "\n"


def boot_script(lab, name: str) -> str:
    lines = []
    for peer in lab.names:
        if peer == name:
            continue
        device = device_to(peer)
        lines.append(f"cable {lab.mac(name, peer)} {device} {lab.address(name, peer)}/24 {lab.mtu}")
        wan = lab.wan_of(name, peer)
        if wan.text() != "plain cable":
            lines += [f"inside {shlex.join(command)}" for command in wan.commands(device)]
    if lab.ram_disks:
        largest = max(lab.sizes.data_mib, lab.sizes.log_mib, lab.sizes.journal_mib)
        lines.append(f"inside modprobe brd rd_nr=6 rd_size={largest * 1024}")
    return "\n".join(lines) + "\n"


def device_to(peer: str) -> str:
    """Name of the network device at this end of the cable to a peer."""
    return f"to-{peer}"
