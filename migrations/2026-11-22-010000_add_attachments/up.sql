-- Files: what they are, whose they are, and on which message. Their bytes are in the storage.

CREATE TABLE attachments (
    id uuid PRIMARY KEY,
    object_id uuid NOT NULL,
    organization_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
    uploader_id uuid,
    message_id uuid,
    place integer,
    kind text NOT NULL CHECK (kind IN ('FILE', 'IMAGE', 'ANNOTATION')),
    status text NOT NULL CHECK (status IN ('UPLOADING', 'UPLOADED', 'FAILED', 'CANCELLED')),
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 255),
    mime_type text NOT NULL,
    size bigint NOT NULL CHECK (size > 0),
    width integer,
    height integer,
    text_content text,
    location jsonb,
    created_at timestamptz NOT NULL,
    unattached_since timestamptz,
    UNIQUE (message_id, place),
    CHECK ((message_id IS NULL) = (place IS NULL)),
    CHECK ((message_id IS NULL) = (unattached_since IS NOT NULL)),
    FOREIGN KEY (organization_id, message_id) REFERENCES messages (organization_id, id) ON UPDATE CASCADE ON DELETE CASCADE,
    FOREIGN KEY (organization_id, uploader_id) REFERENCES memberships (organization_id, user_id)
);
CREATE INDEX attachments_in_organization ON attachments (organization_id, message_id);
CREATE INDEX attachments_uploader ON attachments (uploader_id);
CREATE INDEX attachments_uploading ON attachments (created_at) WHERE status = 'UPLOADING';
CREATE INDEX attachments_unattached ON attachments (unattached_since) WHERE unattached_since IS NOT NULL;
COMMENT ON TABLE attachments IS 'Files of messages, and files that are not on a message yet or no longer.';
COMMENT ON COLUMN attachments.object_id IS 'Which object of the storage has its bytes: its own id, or the copy that was looked at of what its uploader put there.';
COMMENT ON COLUMN attachments.uploader_id IS 'Whose it is. Null: a backend''s.';
COMMENT ON COLUMN attachments.place IS 'Its place among the files of its message, the least first; numbers may be missing.';
COMMENT ON COLUMN attachments.size IS 'In bytes; as declared, until it is uploaded.';
COMMENT ON COLUMN attachments.width IS 'Of an image, in pixels; height as well. Null: its format does not say.';
COMMENT ON COLUMN attachments.text_content IS 'The text that an annotation is about.';
COMMENT ON COLUMN attachments.location IS 'Where an annotation is, as the product knows to find it again.';
COMMENT ON COLUMN attachments.unattached_since IS 'Since when it is on no message: it goes after a while. Null: it is on one.';

-- However a row goes, with its message, its thread or its organization, its bytes go as well. What
-- was still to be uploaded may come yet, as long as its address is valid: a day at most.
CREATE FUNCTION leave_unused_file() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO unused_files (id, remove_at)
    VALUES (OLD.object_id, CASE OLD.status WHEN 'UPLOADED' THEN now() ELSE now() + interval '1 day' END)
    ON CONFLICT (id) DO UPDATE SET remove_at = EXCLUDED.remove_at;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION leave_unused_file IS 'Has the bytes of an attachment removed whose row is gone.';
CREATE TRIGGER leave_unused_file AFTER DELETE ON attachments FOR EACH ROW EXECUTE FUNCTION leave_unused_file();
