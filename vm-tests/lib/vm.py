# SPDX-License-Identifier: GPL-2.0-or-later
"""One node of a lab: its life (start, power cut, shutdown), commands in it, files to and from it.

States: off (disks settled), running, crashed (QEMU ended by itself: settled as a power cut at the next start).
A power cut keeps what was flushed and a seeded random part of the rest, on every disk, the root file system's
state included; see powercut.py."""

import io
import os
import random
import secrets
import shutil
import tarfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from . import channel, disks, kmsg, node_config, powercut, qemu
from .channel import EXIT, OUT, CommandTimeout, GuestGone, Session, describe
from .paths import LabError

BOOT_TIMEOUT_S = 400            # generous: many tests may share two cores


@dataclass(frozen=True)
class Done:
    """A command that ended. stdout and stderr are bytes; out and err are text."""
    code: int
    stdout: bytes
    stderr: bytes

    @property
    def out(self) -> str:
        return self.stdout.decode(errors="replace")

    @property
    def err(self) -> str:
        return self.stderr.decode(errors="replace")


class CommandFailed(LabError):
    """A command ended with another code than 0."""

    def __init__(self, node: str, command, done: Done):
        super().__init__(f"{node}: exit code {done.code}: {describe(command)}\n{done.out[-3000:]}{done.err[-3000:]}")
        self.done = done


class Node:
    def __init__(self, lab, name: str):
        self.lab, self.name = lab, name
        self.directory: Path = lab.directory / name
        self.process = qemu.Process(self.directory)

    # Life

    def create_disks(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        disks.create(self.directory, self.lab.sizes, self.lab.ram_disks)

    @property
    def disk_names(self) -> list[str]:
        return ["state"] if self.lab.ram_disks else ["state", "data", "log", "journal"]

    def is_running(self) -> bool:
        return self.process.pid() is not None

    def start(self, wait: bool = True) -> None:
        """Power on. After a crash of QEMU the disks are first settled as after a power cut."""
        if self.is_running():
            return
        if disks.is_open(self.directory, self.disk_names):
            self._settle(random.Random(secrets.randbits(32)), tear=True, keep=None)
        (self.directory / "node.tar").write_bytes(node_config.tar(self.lab, self.name))
        disks.open_for_run(self.directory, self.disk_names)
        self.process.start(qemu.command_line(
            self.name, self.lab.image, self.lab.layer, self.lab.mem_mib, self.lab.smp, self.disk_names,
            self.lab.discard, self.lab.cables_of(self.name)), self.lab.die_with_parent)
        if wait:
            self.wait_ready()

    def wait_ready(self, timeout: float = BOOT_TIMEOUT_S) -> None:
        """Until systemd has reached multi-user.target (seconds)."""
        try:
            self.exec("until [ -e /run/lab-ready ]; do sleep 0.1; done", timeout=timeout)
        except (CommandTimeout, GuestGone) as error:
            jobs = ""
            if isinstance(error, CommandTimeout):
                try:
                    jobs = self.exec("systemctl list-jobs", check=False, timeout=10).out
                except LabError:
                    jobs = "no answer from the guest\n"
            console = self.console_text()[-2000:]
            raise LabError(f"{self.name} is not up after {timeout:g} s ({error}).\n{jobs}{self.process.output()}"
                           f"Last lines of its console:\n{console}") from None

    def power_cut(self, seed: int | None = None, tear: bool = True, keep: float | None = None) -> list[powercut.Cut]:
        """Cut the power now. Returns what became of the unflushed writes of each disk, and prints it with the seed.
        tear: a lost write may be on the disk in part. keep: probability that a later write is there."""
        seed = secrets.randbits(32) if seed is None else seed
        self.process.freeze()
        self.process.kill()
        cuts = self._settle(random.Random(seed), tear, keep)
        print(f"{self.name}: power cut, seed {seed}")
        for cut in cuts:
            print(f"    {cut.text()}")
        return cuts

    def freeze_unflushed(self, disk: str, writes: int, timeout: float = 60) -> None:
        """Frozen at a moment when so many writes to the disk are not flushed: a power cut that follows meets them."""
        deadline = time.monotonic() + timeout
        while True:
            self.process.freeze()
            found = powercut.unflushed(self.directory, disk)
            if found >= writes:
                return
            self.process.thaw()
            assert time.monotonic() < deadline, f"{self.name}: never {writes} unflushed writes to {disk}, last {found}"
            time.sleep(0.05)

    def _settle(self, rng, tear: bool, keep: float | None) -> list[powercut.Cut]:
        cuts = []
        for name in self.disk_names:
            own = None if rng is None else random.Random(rng.random())
            cuts.append(powercut.settle(self.directory, name, own, tear, keep))
        disks.close(self.directory, self.disk_names)
        return cuts

    def shutdown(self, timeout: float = 60) -> None:
        """Orderly power off; every write is on the disks afterwards."""
        if not self.is_running():
            return
        self.exec("systemd-run --quiet --no-block systemctl poweroff", timeout=timeout)
        if not self.process.wait(timeout):
            raise LabError(f"{self.name} is not off {timeout:g} s after poweroff; see its console.log")
        self.process.kill()
        self._settle(None, tear=False, keep=None)

    def reboot(self) -> None:
        self.shutdown()
        self.start()

    def pause(self) -> None:
        """Stop the whole VM (a host that hangs); resume() goes on."""
        self.qmp("stop")

    def resume(self) -> None:
        self.qmp("cont")

    def discard_vm(self) -> None:
        """Kill it without settling the disks: only when the lab goes down."""
        self.process.kill()

    def qmp(self, command: str, **arguments):
        return qemu.qmp(self.directory, command, **arguments)

    # Commands

    def exec(self, command, check: bool = True, timeout: float | None = 60, stdin=b"", cwd=None, env=None) -> Done:
        """Run a command (str: shell, list: argv) to its end. Raises CommandFailed unless check is False,
        CommandTimeout (the command is killed), GuestGone (the VM ended)."""
        out, err = io.BytesIO(), io.BytesIO()
        code = self.stream(command, out, err, stdin, timeout, cwd, env)
        done = Done(code, out.getvalue(), err.getvalue())
        if check and code:
            raise CommandFailed(self.name, command, done)
        return done

    def stream(self, command, out, err, stdin=b"", timeout: float | None = None, cwd=None, env=None) -> int:
        """Run a command, its output written to two binary files as it comes; returns the exit code."""
        with Session(self.directory, command, cwd, env, timeout) as session:
            channel.feed(session, stdin)
            for kind, value in session.frames():
                if kind == EXIT:
                    return value
                (out if kind == OUT else err).write(value)
        raise AssertionError("frames() ends with EXIT or raises")

    def spawn(self, command, cwd=None, env=None) -> "Job":
        """Start a command and go on; it is killed when the job is closed or the test ends."""
        job = Job(self, command, cwd, env)
        self.lab.jobs.append(job)
        return job

    def sh(self, command: str, **options) -> str:
        """Shell command, its standard output without the last newline."""
        return self.exec(command, **options).out.rstrip("\n")

    # Files

    def put(self, source: Path | str | bytes, target: str, mode: int | None = None) -> None:
        """Copy a file (or bytes) into the guest; a directory is copied with what is in it, as cp -r would."""
        if isinstance(source, bytes):
            self.exec(["sh", "-c", 'cat >"$0"', target], stdin=source, timeout=600)
        elif Path(source).is_dir():
            with _TarStream(Path(source)) as stream:
                self.exec(["sh", "-c", 'mkdir -p "$0" && tar -x -C "$0"', target], stdin=stream, timeout=600)
        else:
            if mode is None:
                mode = Path(source).stat().st_mode & 0o777
            with open(source, "rb") as file:
                self.exec(["sh", "-c", 'if [ -d "$0" ]; then cat >"$0/$1"; else cat >"$0"; fi', target,
                           Path(source).name], stdin=file, timeout=600)
            target = self.sh(["sh", "-c", 'if [ -d "$0" ]; then echo "$0/$1"; else echo "$0"; fi', target,
                              Path(source).name])
        if mode is not None:
            self.exec(["chmod", f"{mode:o}", target])

    def get(self, source: str, target: Path | str) -> None:
        """Copy a file out of the guest."""
        target = Path(target)
        if target.is_dir():
            target = target / Path(source).name
        with open(target, "wb") as file:
            errors = io.BytesIO()
            code = self.stream(["cat", source], file, errors, timeout=600)
        if code:
            target.unlink()
            raise LabError(f"{self.name}: {errors.getvalue().decode(errors='replace').strip()}")

    def read(self, source: str) -> bytes:
        return self.exec(["cat", source], timeout=600).stdout

    # What the host knows of it, also when it is off

    def console_text(self) -> str:
        return _text(self.directory / "console.log")

    def journal_text(self) -> str:
        """The systemd journal of all its boots, as it came out of the VM."""
        return _text(self.directory / "journal.log")

    @property
    def oracle_log(self) -> Path:
        """Bytes the guest wrote to /dev/virtio-ports/org.remotecopy.oracle; on the host before write() returned."""
        return self.directory / "oracle.log"

    def kernel_trouble(self, since: int = 0, allowed: list[str] = ()) -> list[str]:
        """Kernel warnings on the console from this offset (bytes of console.log) on."""
        path = self.directory / "console.log"
        if not path.exists():
            return []
        return kmsg.trouble(path.read_bytes()[since:].decode(errors="replace"), allowed)

    def console_size(self) -> int:
        path = self.directory / "console.log"
        return path.stat().st_size if path.exists() else 0

    def collect_logs(self, target: Path) -> None:
        """Console, journal, QEMU's words and dmesg into a directory."""
        target.mkdir(parents=True, exist_ok=True)
        for name in ("console.log", "journal.log", "qemu.out"):
            if (self.directory / name).exists():
                shutil.copyfile(self.directory / name, target / name)
        if self.is_running():
            for name, command in (("dmesg", "dmesg"), ("units", "systemctl --no-pager list-units --failed"),
                                  ("dmsetup", "dmsetup table; dmsetup status"), ("processes", "ps axwwf")):
                try:
                    (target / name).write_bytes(self.exec(command, check=False, timeout=20).stdout)
                except LabError as error:
                    (target / name).write_text(f"{error}\n")


class Job:
    """A command running in the background of a test."""

    def __init__(self, node: Node, command, cwd=None, env=None):
        self.node, self.command = node, command
        self.out, self.err = bytearray(), bytearray()
        self.code: int | None = None
        self.error: LabError | None = None
        self.session = Session(node.directory, command, cwd, env)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        try:
            for kind, value in self.session.frames():
                if kind == EXIT:
                    self.code = value
                else:
                    (self.out if kind == OUT else self.err).extend(value)
        except LabError as error:
            self.error = error
        except (OSError, ValueError, AttributeError):
            self.error = GuestGone(f"closed: {describe(self.command)}")
        finally:
            self.session.close()

    def send(self, data: bytes) -> None:
        self.session.send_input(data)

    def end_input(self) -> None:
        self.session.end_input()

    def signal(self, number: int) -> None:
        self.session.signal(number)

    def is_running(self) -> bool:
        return self.thread.is_alive()

    def wait(self, timeout: float = 60, check: bool = True) -> Done:
        self.thread.join(timeout)
        if self.thread.is_alive():
            raise CommandTimeout(f"{self.node.name}: no end after {timeout:g} s: {describe(self.command)}")
        if self.error:
            raise self.error
        done = Done(self.code, bytes(self.out), bytes(self.err))
        if check and done.code:
            raise CommandFailed(self.node.name, self.command, done)
        return done

    def close(self) -> None:
        """Kill it in the guest if it still runs."""
        if self.thread.is_alive():
            try:
                self.session.signal(9)
            except (LabError, AttributeError):
                pass
            self.thread.join(2)
            if self.thread.is_alive() and self.session.sock:
                self.session.sock.shutdown(2)       # wakes the reader, which closes the session
            self.thread.join(5)


class _TarStream(io.RawIOBase):
    """A directory as a stream of tar, made by a thread as it is read."""

    def __init__(self, directory: Path):
        super().__init__()
        reader, self.writer = os.pipe()
        self.file = os.fdopen(reader, "rb")
        self.thread = threading.Thread(target=self._write, args=(directory,), daemon=True)
        self.thread.start()

    def _write(self, directory: Path) -> None:
        try:
            with os.fdopen(self.writer, "wb") as out, tarfile.open(fileobj=out, mode="w|") as tar:
                tar.add(directory, arcname=".", filter=_as_root)
        except BrokenPipeError:
            pass

    def read(self, size: int = -1) -> bytes:
        return self.file.read(size)

    def close(self) -> None:
        self.file.close()
        super().close()


def _as_root(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = "root"
    return info


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""
