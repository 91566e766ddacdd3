ALTER TABLE sessions ADD COLUMN binding_zones text; -- a JSON array of names; NULL: any address
