ALTER TABLE sessions ADD COLUMN binding_zones TEXT; -- a JSON array of names; NULL: any address
