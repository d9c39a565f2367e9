"""Small things."""


class MethodNotSupported(Exception):
    """A method that this class has not."""
