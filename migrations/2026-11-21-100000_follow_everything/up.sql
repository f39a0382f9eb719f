-- Streams over all that somebody sees: the log is read by what has become visible since a
-- snapshot, within a tenant, and for a while only.

ALTER TABLE events
    ADD COLUMN former_organization_id uuid,
    ADD COLUMN former_access text CHECK (former_access IN ('PARTICIPANTS', 'AGENTS', 'ORGANIZATION')),
    ADD CHECK ((former_organization_id IS NULL) = (former_access IS NULL));
DROP INDEX events_organization;
CREATE INDEX events_in_organization ON events (organization_id, xid);
CREATE INDEX events_moved_away ON events (former_organization_id, xid) WHERE former_organization_id IS NOT NULL;
COMMENT ON COLUMN events.former_organization_id IS 'Where the thread was before a change of who sees it. Null: there was no such change.';
COMMENT ON COLUMN events.former_access IS 'Whom it was open to there.';

CREATE TABLE deleted_threads (
    thread_id uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
    access text NOT NULL CHECK (access IN ('PARTICIPANTS', 'AGENTS', 'ORGANIZATION')),
    participant_ids uuid[] NOT NULL,
    hidden_by_ids uuid[] NOT NULL
);
CREATE INDEX deleted_threads_organization ON deleted_threads (organization_id);
COMMENT ON TABLE deleted_threads IS 'Who saw a thread that was deleted for good, so that they hear of it. Kept as long as the event of its deletion.';
COMMENT ON COLUMN deleted_threads.hidden_by_ids IS 'Who did not want to hear of it.';

CREATE INDEX watermarks_xid ON watermarks (xid);
CREATE INDEX watermarks_in_organization ON watermarks (organization_id, xid);
CREATE INDEX watermarks_public_xid ON watermarks (public_xid) WHERE public_xid <> xid;

-- Nobody's rights have changed by this step: 0 is older than any transaction.
ALTER TABLE memberships ADD COLUMN xid bigint NOT NULL DEFAULT 0;
ALTER TABLE memberships ALTER COLUMN xid SET DEFAULT (pg_current_xact_id()::text::bigint);
CREATE INDEX memberships_xid ON memberships (xid);
DROP INDEX memberships_decided;
COMMENT ON COLUMN memberships.xid IS 'The transaction that last changed what the member may see.';

ALTER TABLE api_keys ADD COLUMN revoked_xid bigint;
COMMENT ON COLUMN api_keys.revoked_xid IS 'The transaction that revoked it.';

CREATE TABLE event_retention (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    dropped_xid bigint NOT NULL
);
INSERT INTO event_retention (dropped_xid) VALUES (0);
COMMENT ON TABLE event_retention IS 'One row: how much of the log is no longer kept.';
COMMENT ON COLUMN event_retention.dropped_xid IS 'The newest transaction of which events were dropped: older positions cannot be served.';
