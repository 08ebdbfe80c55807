"""BingX USDT-M perpetual swaps. What its interface really does, and where each trap is handled: quirks.md."""
