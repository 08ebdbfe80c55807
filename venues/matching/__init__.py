"""The matching engine that the simulated venue and the emulators of real venues share; it knows no venue."""
