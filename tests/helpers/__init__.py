"""
What the tests of several folders share: one module for each kind of thing.

- `command_line`: esap-wf in an isolated place, as a process or in this one
- `waiting`: until something has happened
- `processes`: found by run, by command line, by parent; ended
- `files`, `workflows`, `repositories`: small ones are written
- `runs`: some that no engine made
- `kept`: what took long to make, by content
- `tutorial`: the commands of docs/engine-tutorial.md
- `paths`: where the checkout and the cache are

What outsiders need to test an engine of their own is in `esap_wf.testing`.
"""
