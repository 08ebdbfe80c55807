"""The shared core of venue emulators: real HTTP/1.1 and WebSocket in plain calls, over TCP or over pipes in memory.

A venue's emulator is an `App`: it answers requests and speaks on sockets. A `Server` bundles it with its time, its
bounds and its byte faults; a carrier (`link_tcp.serve_tcp`, `memory.MemoryNet`) brings the bytes.
"""
