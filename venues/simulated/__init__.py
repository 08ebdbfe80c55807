"""A simulated venue: an ordinary adapter in front of the shared matching engine and a synthetic or recorded market."""
