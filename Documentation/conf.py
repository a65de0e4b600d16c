# SPDX-License-Identifier: GPL-2.0
# How Sphinx builds these pages: make docs
project = "vfio_ap_rs"
copyright = "the vfio_ap_rs developers, GPL-2.0"  # pylint: disable=redefined-builtin
exclude_patterns = ["conf.py"]
html_theme = "alabaster"
html_theme_options = {"description": "AP queues for KVM guests on IBM Z"}
