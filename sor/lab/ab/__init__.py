"""Comparing two ways to trade: designs, estimators and the looks that are allowed."""
