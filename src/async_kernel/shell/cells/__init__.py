"""Cells: one request to run code in one cancel scope, what interrupts it, its children, and the lane it waits in."""
