"""Chaos: real router processes against a real emulator over loopback, killed at any instant, judged by its books.

Unlike `sor.sim` nothing here is virtual: processes, sockets, files and time are the machine's. A seed decides what is
planned; when exactly it happens is up to the machine, so a seed is run again to look for the same thing, and does not
give the same bytes.
"""
