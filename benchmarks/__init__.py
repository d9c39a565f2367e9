"""A benchmark of Jupyter kernels for Python, for people who choose one.

``python -m benchmarks`` measures this kernel beside its peers and beside a *floor*: an echo that only
parses, signs and answers, which is as fast as a Python process behind ZMQ can be. Absolute figures belong
to the machine they were taken on; ratios within one run travel better, and they are what the goals speak of.

What makes a run fair:

1. every kernel lives in an environment of its own, with the dependencies that its package asks for;
2. one client for all: raw pyzmq, as lean as it can be (:mod:`benchmarks.client`);
3. kernels take turns: every round runs every kernel once before the next round, so noise is shared;
4. a figure is the median of its rounds, and its spread is always shown beside it;
5. what a kernel cannot do is said in the results, never left out.

From the outside in: ``cli`` (arguments) → ``runner`` (turns, failures, progress) → ``measures`` (a module for
each family) → ``session`` (a running kernel) → ``client``. ``environments`` and ``worktree`` provide what is run,
``kernels`` says how, ``goals`` is what this project wants to reach, ``report`` tells the result.
"""
