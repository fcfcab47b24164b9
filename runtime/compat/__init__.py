"""Shims with the interfaces of other runtimes: change one import, keep the rest of the program."""
