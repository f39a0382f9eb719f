-- What messages say in other languages, as a provider translated it, and who is about to ask it.

CREATE TABLE translations (
    organization_id uuid NOT NULL,
    message_id uuid NOT NULL,
    language text NOT NULL,
    target text NOT NULL,
    source_hash bytea NOT NULL,
    body text NOT NULL,
    body_html text,
    content jsonb,
    source_language text,
    provider text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (message_id, language),
    FOREIGN KEY (organization_id, message_id) REFERENCES messages (organization_id, id) ON UPDATE CASCADE ON DELETE CASCADE
);
COMMENT ON TABLE translations IS 'What messages say in other languages. Those of a text that the message no longer has are never shown, and go when it is translated again.';
COMMENT ON COLUMN translations.language IS 'The language that was asked for, as BCP 47 names it.';
COMMENT ON COLUMN translations.target IS 'The language that the provider was asked for, by its own name: several of ours may be one of its.';
COMMENT ON COLUMN translations.source_hash IS 'SHA-256 of what was translated.';
COMMENT ON COLUMN translations.source_language IS 'The language that the provider found it to be in, as BCP 47 names it. Null: it did not say.';

CREATE TABLE translation_claims (
    organization_id uuid NOT NULL,
    message_id uuid NOT NULL,
    target text NOT NULL,
    source_hash bytea NOT NULL,
    holder uuid NOT NULL,
    held_until timestamptz NOT NULL,
    PRIMARY KEY (message_id, target, source_hash),
    FOREIGN KEY (organization_id, message_id) REFERENCES messages (organization_id, id) ON UPDATE CASCADE ON DELETE CASCADE
);
COMMENT ON TABLE translation_claims IS 'Which translations a server is asking the provider for, so that no other one asks for the same.';
COMMENT ON COLUMN translation_claims.source_hash IS 'SHA-256 of what is translated.';
COMMENT ON COLUMN translation_claims.holder IS 'Whose claim it is: made anew for each.';
COMMENT ON COLUMN translation_claims.held_until IS 'When it is anybody''s again: its holder may have died.';
