"""
The ESAP shopping basket: read (`items`, by the shapes that ESAP sends, `wire`), and its items given to the
inputs of a workflow (`rules`). docs/baskets.md.
"""
