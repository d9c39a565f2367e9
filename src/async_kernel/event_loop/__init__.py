"""Running an async library: alone, as the guest of a GUI's main loop, or in the background of one that runs."""
