# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab itself keeps its promises: commands and files pass unharmed, cables survive restarts, WANs do what they
are told, and a power cut keeps what was flushed and loses other things. All later tests rest on these."""

import hashlib
import os
import random
import re
import socket
import subprocess
import threading
import time

import pytest

from lib import channel, powercut
from lib.paths import LabError
from lib.vm import CommandFailed

pytestmark = pytest.mark.lab(primary=1, sync=1, product=False)

BLOCK = 4096


def round_trip_ms(lab, a: str, b: str) -> float | None:
    """Fastest of nine pings from a to b (a busy host makes some slower); None if not one came back."""
    out = lab[a].exec(["ping", "-n", "-c", "9", "-i", "0.1", "-W", "1", b], check=False).out
    return min((float(t) for t in re.findall(r"time=([\d.]+)", out)), default=None)


# Commands and files


def test_commands_report_exit_code_both_outputs_and_take_input(lab):
    node = lab["primary1"]
    done = node.exec("cat; echo oops >&2; exit 7", check=False, stdin=b"hello")
    assert (done.code, done.stdout, done.stderr) == (7, b"hello", b"oops\n")
    assert node.sh("uname -n") == "primary1"
    with pytest.raises(CommandFailed, match="exit code 3"):
        node.exec(["sh", "-c", "exit 3"])
    with pytest.raises(LabError, match="no-such-program"):
        node.exec(["no-such-program"])
    assert node.exec("kill -9 $$", check=False).code == -9


def test_a_command_that_is_too_slow_is_killed_in_the_guest(lab):
    node = lab["primary1"]
    with pytest.raises(channel.CommandTimeout):
        node.exec("exec sleep 4321", timeout=1)
    deadline = time.monotonic() + 10
    while node.exec("pgrep -f '^sleep 4321'", check=False).code == 0:
        assert time.monotonic() < deadline, "the command outlived its session"
    assert node.sh("echo still here") == "still here"


def test_files_and_streams_are_binary_safe(lab, tmp_path):
    node = lab["primary1"]
    data = random.Random(1).randbytes(3_000_001) + bytes(range(256)) * 64 + b"RCX1" * 1000
    assert node.exec("cat", stdin=data).stdout == data
    (tmp_path / "file").write_bytes(data)
    (tmp_path / "file").chmod(0o751)
    node.put(tmp_path / "file", "/srv/file")
    assert node.sh("sha256sum </srv/file").split()[0] == hashlib.sha256(data).hexdigest()
    assert node.sh("stat -c %a /srv/file") == "751"
    node.get("/srv/file", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data
    tree = tmp_path / "tree" / "deep"
    tree.mkdir(parents=True)
    (tree / "empty").write_bytes(b"")
    (tree / "link").symlink_to("empty")
    node.put(tmp_path / "tree", "/srv/tree")
    assert node.sh("cd /srv/tree && find . | sort") == ".\n./deep\n./deep/empty\n./deep/link"


def test_many_commands_run_at_once(lab):
    node = lab["primary1"]
    answers: dict[int, str] = {}

    def ask(i: int) -> None:
        answers[i] = node.sh(f"sleep 0.3; echo {i}")

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(2 * channel.PORTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {i: str(i) for i in range(2 * channel.PORTS)}


def test_a_host_process_killed_in_mid_transfer_harms_no_later_command(lab):
    node = lab["primary1"]
    for _ in range(3):
        sessions = [channel.Session(node.directory, "cat >/dev/null", timeout=60) for _ in range(channel.PORTS)]
        for session in sessions:            # every port
            session.sock.sendall(channel.HEADER.pack(channel.MAGIC, session.session, channel.STDIN, 60000) + b"x" * 999)
            session.close()                 # as a kill would: half a frame sent
    for _ in range(60):                     # more hang-ups than the guest hears of
        with socket.socket(socket.AF_UNIX) as port:
            port.connect(os.path.relpath(node.directory / "exec0.sock"))
    assert [node.sh(f"echo {i}") for i in range(10)] == [str(i) for i in range(10)]


def test_the_serial_console_has_a_shell_of_root(lab):
    node = lab["primary1"]
    answer = b""
    with socket.socket(socket.AF_UNIX) as console:
        console.settimeout(60)
        console.connect(os.path.relpath(node.directory / "console.sock"))
        console.sendall(b"\recho $(id -un)-$((6 * 7))\r")
        while b"root-42" not in answer:
            answer += console.recv(4096)


def test_a_command_costs_little_more_than_starting_a_program(lab):
    node = lab["primary1"]
    costs = []
    for _ in range(15):
        began = time.monotonic()
        node.exec(["true"])
        costs.append(time.monotonic() - began)
    # What starting a program costs in the guest, on this machine and now. A poll in the channel would cost its
    # interval on top, however fast the machine is.
    began = time.monotonic()
    node.exec("for i in $(seq 30); do /bin/true; done")
    start = (time.monotonic() - began) / 30
    print(f"exec: fastest {min(costs) * 1000:.0f} ms, median {sorted(costs)[7] * 1000:.0f} ms; start {start * 1000:.0f} ms")
    assert min(costs) < 0.1 + 15 * start


# Cables


def test_peers_have_names_and_a_cable_survives_the_restart_of_an_end(lab):
    assert round_trip_ms(lab, "primary1", "sync1") is not None
    lab["sync1"].power_cut(seed=1)
    lab["sync1"].start()
    assert round_trip_ms(lab, "primary1", "sync1") is not None, "no way through after a restart of the far end"
    assert round_trip_ms(lab, "sync1", "primary1") is not None


def test_a_wan_delays_each_direction_by_what_was_asked(lab):
    plain = round_trip_ms(lab, "primary1", "sync1")
    lab.wan("primary1", "sync1", delay_ms=50)
    both = round_trip_ms(lab, "primary1", "sync1")
    lab.wan("primary1", "sync1", clear=True)
    lab.wan("primary1", "sync1", one_way=True, delay_ms=50)
    one = round_trip_ms(lab, "primary1", "sync1")
    print(f"round trips: plain {plain} ms, 50 ms each way {both} ms, 50 ms one way {one} ms")
    assert 100 <= both < 140 and 50 <= one < 90 and plain < 30


def test_a_wan_loses_and_limits(lab):
    lab.wan("primary1", "sync1", one_way=True, loss_pct=50)
    out = lab["primary1"].exec("ping -n -q -c 100 -i 0.01 -W 1 sync1", check=False).out
    received = int(re.search(r"(\d+) received", out).group(1))
    assert 25 <= received <= 75, f"{received} of 100 came through a cable that loses half"
    lab.wan("primary1", "sync1", clear=True, rate_mbit=8)
    sink = lab["sync1"].spawn(["python3", "-c", SINK])
    began = time.monotonic()
    lab["primary1"].exec(["python3", "-c", SOURCE, "sync1", "4000000"])
    assert int(sink.wait().out) == 4_000_000
    took = time.monotonic() - began
    print(f"4 MB at 8 Mbit/s took {took:.1f} s")
    assert 3.6 < took < 20


SINK = """
import socket
with socket.create_server(("", 5001)) as s:
    c, _ = s.accept()
    n = 0
    while d := c.recv(65536): n += len(d)
    c.sendall(b"done")
print(n)
"""
SOURCE = """
import socket, sys, time
for attempt in range(100):
    try:
        s = socket.create_connection((sys.argv[1], 5001)); break
    except ConnectionRefusedError: time.sleep(0.1)
s.sendall(bytes(int(sys.argv[2])))
s.shutdown(socket.SHUT_WR)
assert s.recv(4) == b"done"
"""


def test_a_cut_wan_passes_nothing_until_it_is_healed_even_over_a_restart_of_its_sender(lab):
    lab.cut("primary1", "sync1")
    assert round_trip_ms(lab, "primary1", "sync1") is None
    lab["primary1"].power_cut(seed=2)
    lab["primary1"].start()
    assert round_trip_ms(lab, "primary1", "sync1") is None, "the restart healed the cable"
    lab.heal("primary1", "sync1")
    assert round_trip_ms(lab, "primary1", "sync1") is not None


# Power cuts


WRITER = """
import os, sys
device, flushed, more = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
import mmap
page = mmap.mmap(-1, 4096)
fd = os.open(device, os.O_WRONLY | os.O_DIRECT)
def put(i):
    page[:] = (b"%08d" % i) * 512
    os.pwrite(fd, page, i * 4096)
for i in range(flushed): put(i)
os.fsync(fd)
for i in range(flushed, flushed + more): put(i)
print("written", flush=True)
import time; time.sleep(600)
"""


def blocks_present(data: bytes) -> list[int]:
    """Which of the writer's 500 blocks are there, whole."""
    return [i for i in range(500) if data[i * BLOCK:(i + 1) * BLOCK] == (b"%08d" % i) * 512]


def lose(source, target, seed: int, keep: float):
    """A power cut of the data disk whose files lie in source, made on copies in target."""
    target.mkdir()
    for name in ("data.raw", "data.writes"):
        subprocess.run(["cp", "--sparse=always", source / name, target / name], check=True)
    cut = powercut.settle(target, "data", random.Random(seed), keep=keep)
    with open(target / "data.raw", "rb") as disk:
        return cut, blocks_present(disk.read(500 * BLOCK))


def test_a_power_cut_keeps_all_that_was_flushed_and_loses_some_of_the_rest(lab, tmp_path):
    node = lab["primary1"]
    node.exec("dd if=/dev/zero of=/dev/lab/data bs=1M count=4 oflag=direct conv=fsync status=none")
    job = node.spawn(["python3", "-c", WRITER, "/dev/lab/data", "300", "200"])
    while b"written" not in job.out:
        assert job.is_running(), job.wait().err
        time.sleep(0.05)
    node.process.freeze()
    flushed, all_written = list(range(300)), list(range(500))

    cut, present = lose(node.directory, tmp_path / "half", seed=3, keep=0.5)
    assert cut.flushed >= 300 and cut.later == 200 and cut.torn > 0
    assert present[:300] == flushed, "a flushed write was lost"
    assert len(present) - 300 == cut.kept and 50 < cut.kept < 150, f"{cut.kept} of 200 unflushed writes survived"
    assert lose(node.directory, tmp_path / "again", seed=3, keep=0.5) == (cut, present), "a seed is not repeatable"
    assert lose(node.directory, tmp_path / "other", seed=4, keep=0.5)[1] != present
    assert lose(node.directory, tmp_path / "nothing", seed=5, keep=0)[1] == flushed
    assert lose(node.directory, tmp_path / "everything", seed=6, keep=1)[1] == all_written

    node.power_cut(seed=7, keep=0.5)
    with open(node.directory / "data.raw", "rb") as disk:
        left = blocks_present(disk.read(500 * BLOCK))
    assert left[:300] == flushed and 300 < len(left) < 500
    node.start()
    assert blocks_present(node.exec(["head", "-c", str(500 * BLOCK), "/dev/lab/data"]).stdout) == left


def test_a_file_that_was_synced_survives_with_what_was_told_to_the_oracle_others_can_be_lost(lab):
    node = lab["primary1"]
    before = node.oracle_log.stat().st_size
    node.exec("echo kept >/srv/synced && sync -f /srv/synced && echo lost >/srv/unsynced")
    job = node.spawn("exec >/dev/virtio-ports/org.remotecopy.oracle; i=0; "
                     "while :; do i=$((i+1)); echo line $i; done")
    while node.oracle_log.stat().st_size < before + 5000:
        assert job.is_running()
        time.sleep(0.05)
    node.power_cut(seed=8, keep=0)
    lines = node.oracle_log.read_bytes()[before:].decode().splitlines()
    assert lines == [f"line {i + 1}" for i in range(len(lines))] and len(lines) > 500
    assert "Startup finished" in node.journal_text()
    node.start()
    assert node.sh("cat /srv/synced") == "kept"
    assert node.exec("test -s /srv/unsynced", check=False).code != 0


def test_the_recorded_writes_are_all_writes(lab):
    """What is rebuilt from the log, keeping all, is what the VM saw on its live disk."""
    node = lab["primary1"]
    node.exec("fio --name=x --filename=/dev/lab/data --rw=randwrite --bsrange=512-128k --bs_unaligned=0 --size=64M "
              "--io_size=24M --direct=1 --iodepth=16 --ioengine=libaio --serialize_overlap=1 --fsync=50 --randrepeat=0",
              timeout=120)
    node.pause()                # QEMU writes its own caches of the live disk back
    subprocess.run(["cp", "--sparse=always", node.directory / "data.live", node.directory / "data.seen"], check=True)
    subprocess.run(["cp", "--sparse=always", node.directory / "data.raw", node.directory / "data.before"], check=True)
    subprocess.run(["qemu-img", "rebase", "-u", "-F", "raw", "-b", "data.before", "data.seen"], check=True,
                   cwd=node.directory)
    node.power_cut(seed=9, keep=1)
    compared = subprocess.run(["qemu-img", "compare", "-f", "qcow2", "-F", "raw", "data.seen", "data.raw"],
                              cwd=node.directory, capture_output=True, text=True)
    assert compared.returncode == 0, compared.stdout + compared.stderr
    subprocess.run(["rm", "data.seen", "data.before"], check=True, cwd=node.directory)


def test_an_orderly_shutdown_loses_nothing(lab):
    node = lab["primary1"]
    node.exec("echo unsynced >/srv/last")
    node.reboot()
    assert node.sh("cat /srv/last") == "unsynced"


# Judgement


def test_kernel_warnings_are_found_and_expected_ones_are_not_counted(lab):
    node = lab["sync1"]
    offset = node.console_size()
    node.exec("echo '<4>WARNING: CPU: 0 PID: 1 at a test of the lab' >/dev/kmsg; echo '<6>fine' >/dev/kmsg")
    deadline = time.monotonic() + 10
    while not node.kernel_trouble(offset):
        assert time.monotonic() < deadline, "a kernel warning was not seen on the console"
        time.sleep(0.05)
    assert len(node.kernel_trouble(offset)) == 1
    assert node.kernel_trouble(offset, ["a test of the lab"]) == []


test_kernel_warnings_are_found_and_expected_ones_are_not_counted.pytestmark = [
    pytest.mark.kernel_messages("a test of the lab")]
