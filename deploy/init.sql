-- Makes the database `pegboard` and two roles; psql runs it once, as a superuser, on a new cluster.
--
--   pegboard_owner    owns the database; migrations connect as it
--   pegboard_service  reads and writes rows; the service connects as it and cannot change a table
--
-- The passwords come from files in the folder that SECRETS names, or in /run/secrets.

\set ON_ERROR_STOP on
\set owner_password `cat "${SECRETS:-/run/secrets}/owner_password"`
\set service_password `cat "${SECRETS:-/run/secrets}/service_password"`

CREATE ROLE pegboard_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE pegboard_service LOGIN PASSWORD :'service_password';

CREATE DATABASE pegboard OWNER pegboard_owner;
REVOKE ALL ON DATABASE pegboard FROM PUBLIC;
GRANT CONNECT ON DATABASE pegboard TO pegboard_service;

\connect pegboard

-- The owner of the database owns the schema public; nobody else may create in it.
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO pegboard_service;

-- Holds for every table that a later migration makes.
ALTER DEFAULT PRIVILEGES FOR ROLE pegboard_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO pegboard_service;
ALTER DEFAULT PRIVILEGES FOR ROLE pegboard_owner IN SCHEMA public
    GRANT USAGE, SELECT ON SEQUENCES TO pegboard_service;
