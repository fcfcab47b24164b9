"""The C engine through ctypes, without the Python runtime."""
