"""What every real venue's adapter is built from: rate budgets, clock offset, transports, signed client, sockets."""
