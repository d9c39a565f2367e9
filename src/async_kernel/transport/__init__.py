"""What carries messages: owned sockets, the codec, endpoints and the connection file."""
