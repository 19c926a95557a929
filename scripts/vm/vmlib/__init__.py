# SPDX-License-Identifier: GPL-2.0
"""Test VMs: one that runs a command and ends, or a cluster that stays up."""
