"""What a cell shows: displays and results, errors and their tracebacks, payloads for the front end."""
