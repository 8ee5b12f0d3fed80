"""A run that works elsewhere: what is sent there, followed, brought back and accepted, piece by piece
(docs/backends.md).
"""
