"""
CWL, by cwltool (`engine.Cwltool`) and Toil (`toil.Toil`). Documents are read by `interface`; the hook in
their jobs tells `events`.
"""
