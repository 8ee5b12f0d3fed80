"""What a user gives, checked and typed: parameters with units, inputs and references to data, sample
sheets, job orders.

Imported by planning, authoring and the surfaces.
"""
