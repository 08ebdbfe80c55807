"""BingX on this machine: an exchange of its own, and the dialect that it is spoken to in.

The exchange (`exchange` and what it is made of) is plain calls on the shared matching engine: time comes from a
`Scheduler`, chance from a seed, and money is exact. It knows neither JSON nor sockets; `routes`, `streams` and
`emulator` do.
"""
