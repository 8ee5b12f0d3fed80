"""Documents, tables, schemas, numbers, units and texts, as others write them and as people read them."""
