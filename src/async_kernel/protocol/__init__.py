"""Messages, the request being served, and the port that joins the kernel to whoever carries its messages.

Pure: no zmq, no anyio, no IPython. Everything above speaks in these terms.
"""
