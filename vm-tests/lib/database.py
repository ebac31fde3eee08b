# SPDX-License-Identifier: GPL-2.0-or-later
"""PostgreSQL on the group's two volumes: data on one, write-ahead log on the other. A client commits one number after
the other and writes each to the oracle's port once its commit was acknowledged, so the record survives a power cut."""

from . import sites

BIN = "/usr/lib/postgresql/15/bin"
DATA = "/srv/bank/data"
LOG = "/srv/bank/log"

COMMITS = r"""
set -e
port=$1
exec 9>>"$port"
n=0
coproc psql { runuser -u postgres -- psql -qAtX -h /tmp -d postgres; }
while :; do
    n=$((n + 1))
    echo "insert into commits values ($n) returning n;" >&"${psql[1]}"
    read -r answer <&"${psql[0]}"
    [ "$answer" = "$n" ]
    echo "commit $n $EPOCHREALTIME" >&9
done
"""


class Database:
    def __init__(self, lab, node: str):
        self.node = lab[node]
        self.log = self.node.oracle_log
        self.offset = 0

    def create(self) -> None:
        for volume in sites.VOLUMES:
            self.node.exec(f"mkfs.ext4 -q -F {sites.device(volume)}", timeout=120)
        self.node.exec("systemctl disable --now postgresql", check=False)
        _mount(self.node)
        self.node.exec(f"install -d -o postgres -m 700 {DATA}/pg {LOG}/wal")
        self.node.exec(f"runuser -u postgres -- {BIN}/initdb -D {DATA}/pg -X {LOG}/wal -A trust >/dev/null", timeout=180)
        _start(self.node)
        _psql(self.node, "create table commits (n bigint primary key)")

    def begin_commits(self) -> None:
        self.offset = self.log.stat().st_size if self.log.exists() else 0
        self.node.put(COMMITS.encode(), "/tmp/commits")
        self.job = self.node.spawn(f"exec bash /tmp/commits {sites.ORACLE_PORT}")

    def commits(self) -> dict[int, float]:
        """Each commit that the client was told of, and when (the primary's clock, seconds)."""
        if not self.log.exists():
            return {}
        lines = self.log.read_bytes()[self.offset:].split(b"\n")[:-1]
        words = [line.split() for line in lines if line.startswith(b"commit ")]
        return {int(n): float(at.replace(b",", b".")) for _, n, at in words}

    def acknowledged(self) -> int:
        """The highest of them."""
        return max(self.commits(), default=0)

    def rpo_s(self, held: int) -> float:
        """A copy holds commits 1..held: the time from the last of them that was acknowledged to the last one of all."""
        commits = self.commits()
        newest = max(commits)
        return max(0.0, commits[newest] - commits[min(held, newest)]) if held else commits[newest] - commits[min(commits)]


def recover(node) -> int:
    """Mounts a taken-over copy, lets file system and database recover, checks that no commit is missing below the
    highest one, and returns that."""
    _mount(node)
    _start(node)
    highest, count = (int(x) for x in _psql(node, "select coalesce(max(n), 0), count(*) from commits").split("|"))
    assert highest == count, f"{node.name}: {count} commits, but the highest is {highest}: one in between is missing"
    return highest


def _mount(node) -> None:
    node.exec(f"mkdir -p {DATA} {LOG} && mount {sites.device('data')} {DATA} && mount {sites.device('log')} {LOG}")


def _start(node) -> None:
    node.exec(f"runuser -u postgres -- {BIN}/pg_ctl -D {DATA}/pg -w -t 120 -l /tmp/postgres.log "
              "-o '-c unix_socket_directories=/tmp -c listen_addresses= -c fsync=on' start >/dev/null", timeout=180)


def _psql(node, query: str) -> str:
    return node.exec(["runuser", "-u", "postgres", "--", "psql", "-qAtX", "-h", "/tmp", "-d", "postgres", "-c", query],
                     timeout=60).out.strip()
