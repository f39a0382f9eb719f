-- A million messages in twenty thousand threads: one large organization, a small one beside it, a
-- thread of 200,000 messages, and five people whom the test asks as.

-- Tables that are emptied in the transaction that fills them need no WAL.
BEGIN;
TRUNCATE organizations, users, memberships, inboxes, threads, participants, messages, watermarks,
    hidden_threads, reactions, revisions, events CASCADE;
SET session_replication_role = replica;
SET maintenance_work_mem = '256MB';
SET work_mem = '128MB';

-- Ids as the program makes them: those made later are greater.
CREATE FUNCTION pg_temp.made(kind int, number int) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT ('0190000' || kind || '-0000-7000-8000-' || lpad(to_hex(number), 12, '0'))::uuid
$$;

-- Five messages at a time, over two years.
CREATE FUNCTION pg_temp.at(number int) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT timestamptz '2024-01-01T00:00:00Z' + (number / 5) * interval '300 s'
$$;

INSERT INTO organizations (id, external_id, name, last_thread_number)
VALUES (pg_temp.made(1, 1), 'large', 'Large', 20000), (pg_temp.made(1, 2), 'small', 'Small', 500);

-- 1 is an agent of both, 2 a member, 3 a contact, 4 an agent here and a member there, 5 an agent who has seen nothing.
INSERT INTO users (id, external_id, name, profile_set_at)
SELECT pg_temp.made(2, u), 'user-' || u, 'User ' || u, '2024-01-01' FROM generate_series(1, 1000) u;

INSERT INTO memberships (organization_id, user_id, role, decided_at, created_at)
SELECT pg_temp.made(1, 1), pg_temp.made(2, u),
       CASE WHEN u IN (1, 4, 5) THEN 'AGENT' WHEN u = 3 OR u > 700 THEN 'CONTACT' ELSE 'MEMBER' END,
       timestamptz '2024-01-01', pg_temp.at(u)
FROM generate_series(1, 1000) u
UNION ALL
SELECT pg_temp.made(1, 2), pg_temp.made(2, u), CASE WHEN u = 1 THEN 'AGENT' ELSE 'MEMBER' END,
       timestamptz '2024-01-01', pg_temp.at(u)
FROM unnest(ARRAY[1, 4, 10, 11, 12]) u;

UPDATE memberships SET xid = 0;

INSERT INTO inboxes (id, organization_id, external_id, name, channel, created_at)
VALUES (pg_temp.made(6, 1), pg_temp.made(1, 1), 'inbox', 'Inbox', 'API', '2024-01-01');

-- Indexes are filled at the end, all at once: row by row they take ten times as long.
UPDATE pg_index SET indisready = false, indisvalid = false
WHERE indrelid IN ('messages'::regclass, 'threads'::regclass, 'events'::regclass, 'reactions'::regclass, 'attachments'::regclass);

-- Thread 1 has every fifth message, from the first one to the last; the others have about forty
-- each within a tenth of the time. Half of them are for their participants alone, the rest for
-- agents or for all.
CREATE TEMP TABLE plan AS
SELECT t, pg_temp.made(3, t) AS id,
       pg_temp.made(1, CASE WHEN t > 1 AND t % 40 = 0 THEN 2 ELSE 1 END) AS organization_id,
       CASE WHEN t = 1 OR t % 10 >= 8 THEN 'ORGANIZATION' WHEN t % 10 >= 5 THEN 'AGENTS' ELSE 'PARTICIPANTS' END AS access
FROM generate_series(1, 20000) t;

CREATE TEMP TABLE said AS
SELECT m, CASE WHEN m % 5 = 0 THEN 1 ELSE 2 + ((m / 50) + (m::bigint * 7919 % 2000)::int) % 19999 END AS t
FROM generate_series(1, 1000000) m;

INSERT INTO messages (id, organization_id, thread_id, seq, place_at, place_seq, external_id, sender_id, type,
    body, plaintext, private, status, metadata, reply_to_id, created_at, sent_at, updated_at, deleted_at)
SELECT pg_temp.made(4, s.m), p.organization_id, p.id, s.m, pg_temp.at(s.m), s.m,
    CASE WHEN s.m % 1000 = 1 THEN 'message-' || s.m END,
    pg_temp.made(2, CASE WHEN s.m % 5 = 0 THEN s.m / 5 % 500 + 6 ELSE (s.t * 3 + s.m % 3) % 690 + 6 END),
    CASE WHEN s.m % 40 = 7 THEN 'ACTION' ELSE 'USER' END,
    'Message ' || s.m, 'Message ' || s.m, s.m % 50 = 0, 'SENT',
    CASE WHEN s.m % 10000 = 2 THEN '{"kind": "rare"}'::jsonb ELSE '{}' END,
    NULL, pg_temp.at(s.m), pg_temp.at(s.m), CASE WHEN s.m % 100 = 1 THEN pg_temp.at(s.m) END,
    CASE WHEN s.m % 100 = 3 THEN pg_temp.at(s.m) END
FROM said s JOIN plan p USING (t) ORDER BY s.m;

INSERT INTO messages (id, organization_id, thread_id, place_at, place_seq, sender_id, body, plaintext, status, created_at)
SELECT pg_temp.made(4, 2000000 + d), p.organization_id, p.id, timestamptz '6900-01-01', d,
    pg_temp.made(2, CASE WHEN d % 10 = 0 THEN 2 ELSE (p.t * 3) % 690 + 6 END), 'Draft', 'Draft', 'DRAFT', pg_temp.at(d)
FROM generate_series(1, 2000) d JOIN plan p ON p.t = 1 + d * 8;

INSERT INTO threads (id, organization_id, number, external_id, subject, metadata, access, creator_id, seq, public_seq,
    clock_at, user_message_count, action_message_count, deleted_message_count, private_message_count,
    private_deleted_count, last_message_at, staff_message_at, resolved_at, created_at, updated_at, inbox_id)
SELECT p.id, p.organization_id, p.t, 'thread-' || p.t, 'Thread ' || p.t,
    jsonb_build_object('room', p.t % 2000), p.access, pg_temp.made(2, (p.t * 3) % 690 + 6), 1000000, 1000000,
    '2026-01-01', c.users, c.actions, c.deleted, c.notes, 0, c.public_at, c.any_at,
    CASE WHEN p.t % 3 = 0 THEN timestamptz '2026-01-01' END, pg_temp.at(greatest(p.t - 2000, 0) * 50), '2026-01-01',
    CASE WHEN p.t % 39 = 1 AND p.t % 40 <> 0 THEN pg_temp.made(6, 1) END
FROM plan p JOIN (
    SELECT t, count(*) FILTER (WHERE m % 50 <> 0 AND m % 40 <> 7 AND m % 100 <> 3) AS users,
           count(*) FILTER (WHERE m % 40 = 7 AND m % 100 <> 3) AS actions,
           count(*) FILTER (WHERE m % 100 = 3) AS deleted, count(*) FILTER (WHERE m % 50 = 0) AS notes,
           max(pg_temp.at(m)) FILTER (WHERE m % 50 <> 0 AND m % 100 <> 3) AS public_at,
           max(pg_temp.at(m)) FILTER (WHERE m % 100 <> 3) AS any_at
    FROM said GROUP BY t
) c USING (t) ORDER BY p.t;

-- Three in each thread; 500 in the large one. The agent, the member and the contact take part in
-- some of them each.
INSERT INTO participants (thread_id, user_id, organization_id, subscribed, joined_at)
SELECT p.id, pg_temp.made(2, (p.t * 3 + k) % 690 + 6), p.organization_id, k < 2, pg_temp.at(p.t)
FROM plan p, generate_series(0, 2) k WHERE p.t > 1
UNION ALL
SELECT pg_temp.made(3, 1), pg_temp.made(2, u), pg_temp.made(1, 1), u % 2 = 0, pg_temp.at(1)
FROM generate_series(6, 505) u
UNION ALL
SELECT p.id, pg_temp.made(2, u), p.organization_id, true, pg_temp.at(p.t)
FROM plan p, unnest(ARRAY[1, 2, 3, 4]) u
WHERE CASE u WHEN 1 THEN p.t % 400 = 1 WHEN 2 THEN p.t % 200 = 1 WHEN 3 THEN p.t IN (2, 5002, 10002) ELSE p.t % 300 = 1 END;

-- Most have seen most of it; agents have looked into threads in which they do not take part.
INSERT INTO watermarks (thread_id, user_id, organization_id, kind, place_at, place_seq, moved_at, xid, public_moved_at, public_xid)
SELECT p.thread_id, p.user_id, p.organization_id, k.kind, pg_temp.at(980000), 980000, timestamptz '2026-01-01', 3 + (hashtext(p.thread_id::text) & 511), timestamptz '2026-01-01', 3 + (hashtext(p.thread_id::text) & 511)
FROM participants p, (VALUES ('SEEN'), ('DELIVERED')) AS k (kind) WHERE hashtext(p.thread_id::text || p.user_id) % 3 <> 0
UNION ALL
SELECT p.id, pg_temp.made(2, 1), p.organization_id, 'SEEN', pg_temp.at(1000000), 1000000, timestamptz '2026-01-01', 3 + (hashtext(p.id::text) & 511), timestamptz '2026-01-01', 3 + (hashtext(p.id::text) & 511)
FROM plan p WHERE p.access <> 'PARTICIPANTS' AND p.t % 400 <> 1 AND p.t % 4 <> 0;

-- Everybody has hidden something.
INSERT INTO hidden_threads (thread_id, user_id, organization_id, hidden_at)
SELECT p.id, pg_temp.made(2, u), p.organization_id, '2026-01-01'
FROM plan p, unnest(ARRAY[1, 2] || ARRAY(SELECT generate_series(6, 105))) u
WHERE p.access = 'ORGANIZATION' AND p.t % 100 = 9;

INSERT INTO reactions (organization_id, message_id, user_id, emoji, created_at)
SELECT p.organization_id, pg_temp.made(4, s.m), pg_temp.made(2, s.m % 500 + 6), '+1', pg_temp.at(s.m)
FROM said s JOIN plan p USING (t) WHERE s.m % 7 = 0 ORDER BY s.m;

INSERT INTO attachments (id, object_id, organization_id, uploader_id, message_id, place, kind, status, name, mime_type, size, created_at)
SELECT pg_temp.made(7, s.m), pg_temp.made(7, s.m), p.organization_id, NULL, pg_temp.made(4, s.m), 1, 'FILE', 'UPLOADED', 'x', 'text/plain', 1, pg_temp.at(s.m)
FROM said s JOIN plan p USING (t) WHERE s.m % 20 = 11 ORDER BY s.m;

INSERT INTO revisions (organization_id, message_id, number, editor_id, replaced_at, body, plaintext)
SELECT p.organization_id, pg_temp.made(4, s.m), 1, pg_temp.made(2, 6), pg_temp.at(s.m), 'Before', 'Before'
FROM said s JOIN plan p USING (t) WHERE s.m % 100 = 1 ORDER BY s.m;

INSERT INTO events (thread_id, seq, organization_id, kind, actor_id, message_id, occurred_at, xid)
SELECT p.id, s.m, p.organization_id, 'MESSAGE_CREATED', pg_temp.made(2, 6), pg_temp.made(4, s.m), pg_temp.at(s.m), 3 + s.m / 2000
FROM said s JOIN plan p USING (t) WHERE s.t = 1 OR s.m % 8 = 1 ORDER BY s.m;

REINDEX TABLE messages;
REINDEX TABLE threads;
REINDEX TABLE events;
REINDEX TABLE reactions;
REINDEX TABLE attachments;
COMMIT;

ANALYZE;
