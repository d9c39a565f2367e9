"""System commands of a cell: ``!command`` and what magics start."""
