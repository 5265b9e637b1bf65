"""How Sphinx builds this documentation: `python -m sphinx -W -b html docs build/docs`."""

project = "Pegboard"
author = "Pegboard maintainers"
extensions = ["myst_parser"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "Pegboard"
html_copy_source = False
html_show_copyright = False
