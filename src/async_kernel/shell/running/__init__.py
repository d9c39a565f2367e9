"""From the text of a cell to a value: transforming, compiling and running code, in the cell or beside it."""
