"""The small networks of the built-in tasks.

None has dropout or batch normalisation, so that many of them can be trained as one.
"""
