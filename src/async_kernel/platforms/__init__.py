"""What differs between operating systems: a module for each thing, and nobody else asks where we are.

Linux, macOS, Windows and a browser (Pyodide) are told apart here only; the rest of the house asks whether something can
be had. Imports the standard library only (trio where it is what differs).
"""
