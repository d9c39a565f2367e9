"""Starting the kernel under test as users' programs start it, and talking to it as a client does.

- :mod:`subject`: which kernel that is, per backend: its kernelspec in a home of its own.
- :mod:`process`: one running kernel, its exit, its children, its log.
- :mod:`client`: a client that keeps every message it receives, on all channels, by request.
- :mod:`snippets`: code for cells that differs between the backends.
"""
