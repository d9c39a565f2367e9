"""What the tests of this folder drive: a Jupyter server, a browser, and notebooks open in it.

``server`` starts one JupyterLab (which serves Notebook 7, too) for a whole run, ``chromium`` one browser, and ``page``
is a notebook in a tab: run its cells, wait for what they show, look at it.
"""
