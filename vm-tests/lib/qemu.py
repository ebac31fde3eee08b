# SPDX-License-Identifier: GPL-2.0-or-later
"""The QEMU process of one VM: its command line, start, and end.

Invariant: a process is only ever signalled if it is the one that was started (pid and start time agree).
The process runs in the node's directory and names everything in it relatively, so socket paths stay short."""

import ctypes
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from . import channel, disks, tsc
from .paths import LabError

# Without what is slower when emulated than what it replaces: string instructions, five-level paging, and AVX (with it
# OpenSSL's ChaCha20-Poly1305 does 17 MB/s, with SSE 56 MB/s, AES-GCM 42 and 47 MB/s).
CPU = "max,-erms,-fsrm,-la57,-avx,-avx2,-f16c,-fma,-vaes,-vpclmulqdq"
APPEND = ("console=ttyS0 loglevel=5 nokaslr mitigations=off audit=0 selinux=0 apparmor=0 net.ifnames=0 panic=-1 "
          "random.trust_cpu=on tsc=reliable no_timer_check watchdog_thresh=30 "
          "rcupdate.rcu_cpu_stall_timeout=60 systemd.show_status=0 rd.systemd.show_status=0 "
          "cryptomgr.notests raid=noautodetect")
HZ = 250                        # of the kernel: Debian's CONFIG_HZ
PORTS = ["oracle", "journal"]   # guest to host only; appended to NAME.log of the node's directory


def command_line(name: str, image, layer: Path, mem_mib: int, smp: int, disk_names: list[str], discard: bool,
                 cables: list[tuple[str, str, str]]) -> list[str]:
    """cables: (MAC, local socket, remote socket)."""
    args = ["qemu-system-x86_64", "-name", name, "-machine", "pc,usb=off,vmport=off,smbus=off",
            "-accel", "tcg,thread=multi,tb-size=192", "-cpu", CPU, "-smp", str(smp), "-m", f"{mem_mib}M",
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-rtc", "base=utc",
            "-kernel", str(image.vmlinux), "-initrd", str(image.initrd()),
            "-append", f"{APPEND} tsc_early_khz={tsc.khz()} lpj={tsc.khz() * 1000 // HZ}",
            "-fw_cfg", "name=opt/remotecopy/node,file=node.tar",
            "-chardev", "socket,id=console,path=console.sock,server=on,wait=off,logfile=console.log,logappend=on",
            "-serial", "chardev:console",
            "-chardev", "socket,id=qmp,path=qmp.sock,server=on,wait=off", "-mon", "chardev=qmp,mode=control",
            "-device", "virtio-serial-pci,max_ports=16"]
    for port in PORTS:
        args += ["-chardev", f"file,id={port},path={port}.log,append=on",
                 "-device", f"virtserialport,chardev={port},name=org.remotecopy.{port}"]
    for port in range(channel.PORTS):
        args += ["-chardev", f"socket,id=exec{port},path=exec{port}.sock,server=on,wait=off",
                 "-device", f"virtserialport,chardev=exec{port},name=org.remotecopy.exec.{port}"]
    args += disks.shared_drive("base", image.root) + disks.shared_drive("layer", layer)
    for disk in disk_names:
        args += disks.recorded_drive(disk, discard)
    for index, (mac, local, remote) in enumerate(cables):
        args += ["-netdev", f"dgram,id=net{index},local.type=unix,local.path={local},"
                            f"remote.type=unix,remote.path={remote}",
                 "-device", f"virtio-net-pci,netdev=net{index},mac={mac},romfile="]
    return args


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)      # PR_SET_PDEATHSIG


class Process:
    """The running QEMU of a node, also when another process started it."""

    started: dict[int, subprocess.Popen] = {}       # children of this process, to be reaped

    def __init__(self, directory: Path):
        self.directory = directory
        self.file = directory / "qemu.json"

    def start(self, args: list[str], die_with_parent: bool) -> None:
        for stale in self.directory.glob("*.sock"):
            stale.unlink()
        with open(self.directory / "qemu.out", "ab") as out:
            # Started from the main thread only: the death signal follows the starting thread.
            process = subprocess.Popen(args, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                       start_new_session=True,
                                       preexec_fn=_die_with_parent if die_with_parent else None)
        self.started[process.pid] = process
        self.file.write_text(json.dumps({"pid": process.pid, "since": _start_time(process.pid)}))
        deadline = time.monotonic() + 30
        while not (self.directory / f"exec{channel.PORTS - 1}.sock").exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise LabError(f"QEMU did not start:\n{self.output()}")
            time.sleep(0.01)

    def output(self) -> str:
        out = self.directory / "qemu.out"
        return out.read_text(errors="replace")[-3000:] if out.exists() else ""

    def pid(self) -> int | None:
        """Its process id while it runs."""
        try:
            known = json.loads(self.file.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        child = self.started.get(known["pid"])
        if child is not None and child.poll() is not None:
            return None
        return known["pid"] if _start_time(known["pid"]) == known["since"] else None

    def wait(self, timeout: float) -> bool:
        """True when it has ended within the timeout (seconds)."""
        deadline = time.monotonic() + timeout
        while self.pid() is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def freeze(self) -> None:
        """Stop every thread between system calls, so that none is cut in the middle of a write."""
        pid = self._require()
        os.kill(pid, signal.SIGSTOP)
        deadline = time.monotonic() + 60
        while any(state not in "TtZX" for state in _thread_states(pid)):
            if time.monotonic() > deadline:
                raise LabError(f"QEMU (process {pid}) does not stop; the host's disk may hang")
            time.sleep(0.002)

    def thaw(self) -> None:
        os.kill(self._require(), signal.SIGCONT)

    def kill(self) -> None:
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            if not self.wait(60):
                raise LabError(f"QEMU (process {pid}) does not end after SIGKILL")
        self.file.unlink(missing_ok=True)

    def _require(self) -> int:
        pid = self.pid()
        if pid is None:
            raise LabError(f"{self.directory.name} does not run")
        return pid


def _stat_fields(path: str) -> list[str] | None:
    try:
        with open(path) as stat:
            return stat.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _start_time(pid: int) -> str | None:
    fields = _stat_fields(f"/proc/{pid}/stat")
    return None if fields is None or fields[0] in "ZX" else fields[19]


def _thread_states(pid: int) -> list[str]:
    states = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        fields = _stat_fields(f"/proc/{pid}/task/{thread}/stat")
        if fields:
            states.append(fields[0])
    return states


def qmp(directory: Path, command: str, **arguments):
    """One QEMU monitor command; returns its result."""
    handle = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(60)
            sock.connect(f"/proc/self/fd/{handle}/qmp.sock")
            stream = sock.makefile("rwb")
            stream.readline()
            answer = {}
            for request in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                stream.write(json.dumps(request).encode() + b"\n")
                stream.flush()
                answer = json.loads(stream.readline())
                while "event" in answer:
                    answer = json.loads(stream.readline())
            if "error" in answer:
                raise LabError(f"QEMU refuses {command}: {answer['error']['desc']}")
            return answer["return"]
    except OSError as error:
        raise LabError(f"no monitor of {directory.name}: {error.strerror or error}; does the VM run?") from None
    finally:
        os.close(handle)
