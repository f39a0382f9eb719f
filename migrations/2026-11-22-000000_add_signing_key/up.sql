-- What signs the addresses of files, and which objects of the storage no row speaks of.

CREATE TABLE signing_key (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    secret bytea NOT NULL CHECK (octet_length(secret) = 32)
);
COMMENT ON TABLE signing_key IS 'One row: what signs the addresses of files, for all servers on this database. Made by the first one.';
COMMENT ON COLUMN signing_key.secret IS '256 random bits, for HMAC-SHA256.';

CREATE TABLE unused_files (
    id uuid PRIMARY KEY,
    remove_at timestamptz NOT NULL,
    removing boolean NOT NULL DEFAULT false
);
CREATE INDEX unused_files_remove_at ON unused_files (remove_at);
COMMENT ON TABLE unused_files IS 'Objects of the storage that belong to nothing, or to nothing yet: written before the first byte of a file, so that none is forgotten.';
COMMENT ON COLUMN unused_files.remove_at IS 'When the object is removed, and then this row; while it is being removed, when that is tried again.';
COMMENT ON COLUMN unused_files.removing IS 'Whether a server has begun to remove the object: from then on nobody claims it.';
