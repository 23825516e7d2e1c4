"""Steps that bring a store to the tables of this version; Alembic runs them on a connection that it is given."""
