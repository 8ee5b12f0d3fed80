"""
What a run directory has for who works with it by hand where inputs lie elsewhere: ``stage.py``, a program
that brings them, and ``stage.json``, what it reads (`listing`).
"""
