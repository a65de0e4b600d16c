# SPDX-License-Identifier: GPL-2.0
# How Sphinx builds these pages: make docs
project = "vfio_ap_rs"
copyright = "the vfio_ap_rs developers, GPL-2.0"  # pylint: disable=redefined-builtin
extensions = ["sphinx.ext.graphviz"]
graphviz_output_format = "svg"
exclude_patterns = ["conf.py"]
html_theme = "alabaster"
html_theme_options = {"description": "AP queues for KVM guests on IBM Z"}
html_static_path = ["static"]
html_css_files = ["pages.css"]
# Most literal blocks are commands and what they print.
highlight_language = "none"
