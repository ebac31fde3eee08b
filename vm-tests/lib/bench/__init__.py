# SPDX-License-Identifier: GPL-2.0-or-later
"""What vm-tests/bench is made of: the rig (rig.py), the load (load.py), one file per competitor (remotecopy.py,
drbd.py, pipe.py), and what the numbers mean (report.py). Only ratios within one run count: the rig is emulated."""
