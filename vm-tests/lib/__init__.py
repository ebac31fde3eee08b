# SPDX-License-Identifier: GPL-2.0-or-later
"""The VM lab as a library: `vm-tests/lab`, `vm-tests/run` and the tests are thin users of it."""
