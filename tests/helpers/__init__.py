"""
What the tests of several folders share.

`command_line` runs esap-wf in an isolated place, `waiting` waits for a condition, `processes` finds and ends processes, `workflows`
writes small workflows and pipelines, `paths` says where things are, `kept` keeps what took long to make, `tutorial` follows
docs/engine-tutorial.md. What outsiders need for testing an engine is in `esap_wf.testing`.
"""
