# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs commands in a guest over virtio-serial: the host's end of guest/root/usr/lib/lab/execd.

Frames both ways: "RCX1", session (u64, random), kind (u8), length (u32), body (at most 64 KiB), little endian.
    host:  HELLO {argv, cwd, env} . STDIN* EOF . SIGNAL n       guest: OUT* ERR* then EXIT code or FAIL text
    host:  PING                                                 guest: PONG
A VM has several such ports; a port carries one command at a time. Ports are shared by all processes of the host
through locks on files beside the sockets. The lock file also says if the last session was ended in order: if not,
padding is sent first, so that a half frame of a killed client cannot swallow the next request, and a PING must be
answered before the port is used: QEMU tells the guest of a new connection through a queue of 32 buffers and drops the
news when it is full, as it is after many connections in a row; the guest then takes the host for away and answers
nothing until it hears of a later connection.
Invariant: a command runs no longer than its session. Closing a session kills the process group of its command; if this
process is killed itself, the guest does so after seconds or at the next session on the port."""

import fcntl
import json
import os
import secrets
import select
import shlex
import socket
import struct
import threading
import time
from pathlib import Path

from .paths import LabError

PORTS = 8
HEADER = struct.Struct("<4sQBI")
MAGIC = b"RCX1"
HELLO, STDIN, EOF, SIGNAL, OUT, ERR, EXIT, FAIL, PING, PONG = range(1, 11)
BODY_MAX = 65536
PONG_S = 2


class GuestGone(LabError):
    """The VM ended (or its command channel did) while a command ran."""


class CommandTimeout(LabError):
    """The command did not end within the time allowed; it was killed in the guest."""


def as_argv(command) -> list[str]:
    """A string is a shell command; a list is run as it is."""
    return ["/bin/sh", "-c", command] if isinstance(command, str) else [str(c) for c in command]


def describe(command) -> str:
    return command if isinstance(command, str) else shlex.join(str(c) for c in command)


class Session:
    """One command in the guest, from connect to exit. Use as a context manager."""

    def __init__(self, directory: Path, command, cwd=None, env=None, timeout: float | None = None):
        self.deadline = None if timeout is None else time.monotonic() + timeout
        self.timeout, self.command = timeout, command
        self.directory = os.open(directory, os.O_PATH | os.O_DIRECTORY)
        self.lock = self.sock = None
        self.ended = False
        self.inbox = bytearray()
        self.sending = threading.Lock()
        try:
            self._connect()
            self.session = secrets.randbits(64)
            request = json.dumps({"argv": as_argv(command), "cwd": cwd, "env": env or {}}).encode()
            if len(request) > BODY_MAX:
                raise LabError("the command line is longer than 64 KiB; pass the data on standard input instead")
            self._send(HELLO, request)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _connect(self) -> None:
        while True:
            for port in range(PORTS):
                lock = os.open(f"exec{port}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644,
                               dir_fd=self.directory)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(lock)
                    continue
                self.lock = lock
                if os.pread(lock, 1, 0) == b"1":
                    self._clear_port(port)
                else:
                    self._open_port(port)
                os.pwrite(lock, b"1", 0)
                return
            if self.deadline and time.monotonic() > self.deadline:
                raise CommandTimeout(f"all {PORTS} command ports are busy; could not run: {describe(self.command)}")
            time.sleep(0.02)

    def _open_port(self, port: int) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # Through /proc, because socket paths are limited to 107 bytes and the cache may lie deep.
            self.sock.connect(f"/proc/self/fd/{self.directory}/exec{port}.sock")
        except OSError as error:
            raise GuestGone(f"the VM does not run ({error.strerror})") from None

    def _clear_port(self, port: int) -> None:
        """The last session here was cut: end its half frame, and connect until the guest answers."""
        self.session = secrets.randbits(64)
        request = bytes(HEADER.size + BODY_MAX) + HEADER.pack(MAGIC, self.session, PING, 0)
        while True:
            self._open_port(port)
            self.sock.settimeout(PONG_S)
            try:
                self.sock.sendall(request)
                while self._parse() is None:
                    data = self.sock.recv(1 << 18)
                    if not data:
                        raise GuestGone(f"the VM ended before: {describe(self.command)}")
                    self.inbox += data
                self.sock.settimeout(None)
                return
            except TimeoutError:
                self.sock.close()
                self.inbox.clear()
            except OSError as error:
                raise GuestGone(f"the VM ended before: {describe(self.command)} ({error.strerror})") from None
            if self.deadline and time.monotonic() > self.deadline:
                raise CommandTimeout(f"the guest does not answer on port {port}; could not run: "
                                     f"{describe(self.command)}")

    def _send(self, kind: int, body: bytes = b"") -> None:
        with self.sending:
            try:
                self.sock.sendall(HEADER.pack(MAGIC, self.session, kind, len(body)) + body)
            except OSError as error:
                raise GuestGone(f"the VM ended during: {describe(self.command)} ({error.strerror})") from None

    def send_input(self, data: bytes) -> None:
        for start in range(0, len(data), BODY_MAX):
            self._send(STDIN, data[start:start + BODY_MAX])

    def end_input(self) -> None:
        self._send(EOF)

    def signal(self, number: int) -> None:
        self._send(SIGNAL, str(number).encode())

    def frames(self):
        """Yield (OUT or ERR, bytes), and at last (EXIT, code)."""
        while True:
            frame = self._parse()
            if frame is None:
                self._receive()
                continue
            kind, body = frame
            if kind == EXIT:
                self.ended = True
                yield EXIT, int(body)
                return
            if kind == FAIL:
                self.ended = True
                raise LabError(f"could not run: {body.decode(errors='replace')}")
            yield kind, body

    def _receive(self) -> None:
        left = None if self.deadline is None else self.deadline - time.monotonic()
        if left is not None and left <= 0 or not select.select([self.sock], [], [], left)[0]:
            raise CommandTimeout(f"no end after {self.timeout:g} s: {describe(self.command)}")
        try:
            data = self.sock.recv(1 << 18)
        except OSError:
            data = b""
        if not data:
            raise GuestGone(f"the VM ended during: {describe(self.command)}")
        self.inbox += data

    def _parse(self):
        mine = MAGIC + struct.pack("<Q", self.session)
        start = self.inbox.find(mine)
        if start < 0:
            del self.inbox[:-len(mine)]     # what is left of an earlier session
            return None
        del self.inbox[:start]
        if len(self.inbox) < HEADER.size:
            return None
        _, _, kind, length = HEADER.unpack_from(self.inbox)
        if len(self.inbox) < HEADER.size + length:
            return None
        body = bytes(self.inbox[HEADER.size:HEADER.size + length])
        del self.inbox[:HEADER.size + length]
        return kind, body

    def close(self) -> None:
        if self.sock:
            if not self.ended:
                self._kill_command()
            self.sock.close()
            self.sock = None
        if self.lock is not None:
            if self.ended:
                os.pwrite(self.lock, b"0", 0)
            os.close(self.lock)
            self.lock = None
        if self.directory is not None:
            os.close(self.directory)
            self.directory = None


    def _kill_command(self) -> None:
        """Best effort: between two frames, and only if the guest still reads."""
        if not hasattr(self, "session") or not self.sending.acquire(timeout=0.1):
            return
        try:
            self.sock.send(HEADER.pack(MAGIC, self.session, SIGNAL, 1) + b"9", socket.MSG_DONTWAIT)
        except OSError:
            pass
        finally:
            self.sending.release()


def feed(session: Session, source) -> threading.Thread:
    """Send bytes, or what a file object yields, as standard input, aside from reading the output."""
    def work():
        try:
            if isinstance(source, (bytes, bytearray, memoryview)):
                session.send_input(bytes(source))
            else:
                while data := source.read(BODY_MAX):
                    session.send_input(data)
            session.end_input()
        except (GuestGone, AttributeError, ValueError):
            pass                    # the reading side reports why the session ended
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
