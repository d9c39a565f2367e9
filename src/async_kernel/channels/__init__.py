"""What the I/O loop owns: a module for each channel, and the loop that runs them."""
