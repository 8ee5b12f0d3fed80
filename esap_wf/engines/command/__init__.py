"""
Commands one after the other by bash (`engine.Command`), and notebooks (`notebook.Notebook`): for tasks that
need no pipeline.
"""
