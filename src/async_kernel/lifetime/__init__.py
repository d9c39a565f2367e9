"""Lifetimes that cross threads and loops: tokens of loops, owned threads, results that come once, callers."""
