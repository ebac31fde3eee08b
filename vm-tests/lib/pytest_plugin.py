# SPDX-License-Identifier: GPL-2.0-or-later
"""What vm-tests/run adds to pytest: the fixture `lab`, logs of every node when a test fails, failure on kernel
warnings of any node, selection by a part of the name, and the count printed last.

    @pytest.mark.lab(primary=1, sync=1)            which lab (labpool.options_of); fresh=True: never a used one
    @pytest.mark.kernel_messages("I/O error")      expressions for warnings that the test causes on purpose"""

import re
import shutil

import pytest

from . import labpool, paths
from .lab import Lab


def pytest_addoption(parser):
    parser.addoption("--select", action="append", default=[], help="only tests whose id contains this")


def pytest_configure(config):
    config.addinivalue_line("markers", "lab(**words): the lab of this test, e.g. primary=1, sync=1, fresh=True")
    config.addinivalue_line("markers", "kernel_messages(*expressions): kernel warnings that are expected")
    config.pluginmanager.register(Counts(), "vm-counts")


def pytest_collection_modifyitems(config, items):
    """Keep what was asked for, and put tests of one shape next to each other."""
    wanted = config.getoption("--select")
    if wanted:
        config.hook.pytest_deselected(items=[i for i in items if not any(w in i.nodeid for w in wanted)])
        items[:] = [i for i in items if any(w in i.nodeid for w in wanted)]
    shapes: dict[str, int] = {}
    items.sort(key=lambda item: shapes.setdefault(labpool.shape(**_words(item)), len(shapes)))


def _words(item) -> dict:
    words: dict = {}
    for mark in reversed(list(item.iter_markers("lab"))):      # the innermost mark has the last word
        words = dict(mark.kwargs)
    return words


@pytest.fixture(scope="session")
def lab_pool():
    pool = labpool.Pool()
    yield pool
    pool.drop()


@pytest.fixture
def lab(request, lab_pool) -> Lab:
    """The lab of this test: booted, all nodes up, all cables plain. Disks are as the last test left them unless
    the mark says fresh=True."""
    lab = lab_pool.get(**_words(request.node))
    consoles = {name: node.console_size() for name, node in lab.nodes.items()}
    yield lab
    lab.close_jobs()
    allowed = [e for mark in request.node.iter_markers("kernel_messages") for e in mark.args]
    trouble = [f"{name}: {line}" for name, node in lab.nodes.items()
               for line in node.kernel_trouble(consoles[name], allowed)]
    report = getattr(request.node, "call_report", None)
    if trouble or report is None or report.failed:
        where = collect(request.node, lab)
        lab_pool.drop()
        if trouble:
            pytest.fail("kernel warnings:\n" + "\n".join(trouble[:40]) + f"\nlogs: {where}", pytrace=False)


def collect(item, lab: Lab):
    """Logs of all nodes into a directory named after the test."""
    name = re.sub(r"[^\w.-]+", "_", item.nodeid.rpartition("/")[2].replace(".py::", "."))
    target = paths.LOGS / name
    shutil.rmtree(target, ignore_errors=True)
    for node in lab.nodes.values():
        node.collect_logs(target / node.name)
    print(f"logs of all nodes: {target}")
    return target


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.call_report = outcome.get_result()


class Counts:
    """One outcome per test: a test that passed and then left kernel warnings has failed."""

    def __init__(self):
        self.outcome: dict[str, str] = {}
        self.broken = 0             # files that could not be collected

    def pytest_collectreport(self, report):
        self.broken += report.failed

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.outcome[report.nodeid] = "failed"
        elif report.skipped:
            self.outcome.setdefault(report.nodeid, "skipped")
        elif report.when == "call":
            self.outcome.setdefault(report.nodeid, "passed")

    def line(self) -> str:
        count = list(self.outcome.values()).count
        return f"vm: {count('passed')} passed, {count('failed') + self.broken} failed, {count('skipped')} skipped"
