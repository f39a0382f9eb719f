-- What messages and threads still lacked: structured content, content types and their answers,
-- inboxes and directions, the history of edits, appended texts in the log, what was
-- delivered to whom, and what somebody does not want to hear of.

CREATE TABLE inboxes (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
    external_id text CHECK (char_length(external_id) BETWEEN 1 AND 320),
    name text NOT NULL,
    channel text NOT NULL CHECK (channel IN ('WEB', 'API')),
    webhook_url text,
    webhook_secret text,
    created_at timestamptz NOT NULL,
    UNIQUE (organization_id, id),
    UNIQUE (organization_id, external_id)
);
COMMENT ON TABLE inboxes IS 'Channels by which contacts write.';
COMMENT ON COLUMN inboxes.webhook_url IS 'Where outgoing messages of an API inbox go.';
COMMENT ON COLUMN inboxes.webhook_secret IS 'What signs them.';

ALTER TABLE threads
    ADD COLUMN inbox_id uuid,
    ADD FOREIGN KEY (organization_id, inbox_id) REFERENCES inboxes (organization_id, id);
CREATE INDEX threads_inbox ON threads (inbox_id, organization_id);
CREATE INDEX threads_metadata ON threads USING gin (metadata jsonb_path_ops);
COMMENT ON COLUMN threads.inbox_id IS 'The channel that its contact writes by. Null: none.';

ALTER TABLE messages
    ADD COLUMN content jsonb,
    ADD COLUMN content_attributes jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN submitted_values jsonb,
    ADD COLUMN direction text CHECK (direction IN ('INCOMING', 'OUTGOING')),
    ADD COLUMN delivery_error text;
CREATE INDEX messages_metadata ON messages USING gin (metadata jsonb_path_ops);
COMMENT ON COLUMN messages.content IS 'The structured content, as it was given.';
COMMENT ON COLUMN messages.content_attributes IS 'What its content type needs: the items of cards, forms, articles, selects, the source of an image.';
COMMENT ON COLUMN messages.submitted_values IS 'What a reader answered to a form, a select or an input.';
COMMENT ON COLUMN messages.direction IS 'By the contact, or to the contact. Null: the thread has no inbox.';
COMMENT ON COLUMN messages.delivery_error IS 'Why it is FAILED.';

CREATE TABLE revisions (
    organization_id uuid NOT NULL,
    message_id uuid NOT NULL,
    number integer NOT NULL,
    editor_id uuid,
    replaced_at timestamptz NOT NULL,
    body text NOT NULL,
    body_html text,
    content jsonb,
    plaintext text NOT NULL,
    PRIMARY KEY (message_id, number),
    FOREIGN KEY (organization_id, message_id) REFERENCES messages (organization_id, id) ON UPDATE CASCADE ON DELETE CASCADE,
    FOREIGN KEY (organization_id, editor_id) REFERENCES memberships (organization_id, user_id)
);
CREATE INDEX revisions_editor ON revisions (editor_id);
COMMENT ON TABLE revisions IS 'What messages said before they were edited.';
COMMENT ON COLUMN revisions.number IS '1, 2, 3 ... for each message, the oldest first.';
COMMENT ON COLUMN revisions.editor_id IS 'Who replaced these words. Null: a backend.';

-- A row for what was seen, and one for what was delivered.
ALTER TABLE watermarks RENAME COLUMN seen_at TO place_at;
ALTER TABLE watermarks RENAME COLUMN seen_seq TO place_seq;
ALTER TABLE watermarks
    ADD COLUMN kind text NOT NULL DEFAULT 'SEEN' CHECK (kind IN ('SEEN', 'DELIVERED')),
    DROP CONSTRAINT watermarks_pkey,
    ADD PRIMARY KEY (thread_id, user_id, kind);
COMMENT ON TABLE watermarks IS 'Up to which message somebody has seen a thread, and up to which it has reached a device; seenBy, unread counts and receipts derive from it.';
COMMENT ON COLUMN watermarks.place_at IS 'sent_at of the newest message seen or delivered; with place_seq its place in the thread.';

CREATE TABLE hidden_threads (
    thread_id uuid NOT NULL,
    user_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    hidden_at timestamptz NOT NULL,
    PRIMARY KEY (thread_id, user_id),
    FOREIGN KEY (organization_id, thread_id) REFERENCES threads (organization_id, id) ON UPDATE CASCADE ON DELETE CASCADE,
    FOREIGN KEY (organization_id, user_id) REFERENCES memberships (organization_id, user_id) ON DELETE CASCADE
);
CREATE INDEX hidden_threads_user ON hidden_threads (user_id, thread_id);
COMMENT ON TABLE hidden_threads IS 'Threads that somebody does not want to hear of until they say otherwise.';

ALTER TABLE events
    ADD COLUMN appended_text text,
    ADD COLUMN appended_at integer;
COMMENT ON COLUMN events.appended_text IS 'What was appended to a message. Null once the message is deleted for good.';
COMMENT ON COLUMN events.appended_at IS 'Behind how many characters of its text.';
