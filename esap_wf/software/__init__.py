"""Where programs come from: Python environments by content, and containers.

Imported by engines, planning and running.
"""
