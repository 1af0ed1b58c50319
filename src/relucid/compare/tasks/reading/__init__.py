"""Readers of the data of the built-in tasks.

Files are another's: what is held is bounded, and what is wrong is said with its place.
"""
