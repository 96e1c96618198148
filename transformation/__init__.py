"""dbt and what surrounds it: the views, its Python side, the contract, the dictionary."""
