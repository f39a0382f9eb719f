-- Full text search. A thread has a language, which its messages take over when they are made; the
-- language is the name of a text search configuration that PostgreSQL brings, kept as text since
-- pg_upgrade refuses tables with regconfig.

CREATE FUNCTION search_vector(language text, words text) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    -- The words are no HTML: what follows a < is to be found as well.
    part text := translate(words, '<', ' ');
BEGIN
    LOOP
        BEGIN
            RETURN CASE WHEN language = 'simple'
                THEN setweight(to_tsvector('pg_catalog.simple', part), 'A')
                ELSE setweight(to_tsvector(('pg_catalog.' || language)::regconfig, part), 'A')
                    || to_tsvector('pg_catalog.simple', part)
                END;
        EXCEPTION WHEN program_limit_exceeded THEN
            -- A tsvector holds 1 MB, which only a long text of strange words exceeds: its front
            -- must do.
            part := left(part, char_length(part) / 2);
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION search_vector IS 'What a message is found by: its words, stemmed, with weight A; and as they are, with weight D, for beginnings of words and for stop words. Immutable as long as nobody changes the configurations that PostgreSQL brings.';

ALTER TABLE threads ADD COLUMN search_language text NOT NULL DEFAULT 'simple';
UPDATE threads SET search_language = CASE lower(substring(language FROM '^[[:alpha:]]+'))
    WHEN 'ar' THEN 'arabic'
    WHEN 'ca' THEN 'catalan'
    WHEN 'da' THEN 'danish'
    WHEN 'de' THEN 'german'
    WHEN 'el' THEN 'greek'
    WHEN 'en' THEN 'english'
    WHEN 'es' THEN 'spanish'
    WHEN 'eu' THEN 'basque'
    WHEN 'fi' THEN 'finnish'
    WHEN 'fr' THEN 'french'
    WHEN 'ga' THEN 'irish'
    WHEN 'hi' THEN 'hindi'
    WHEN 'hu' THEN 'hungarian'
    WHEN 'hy' THEN 'armenian'
    WHEN 'id' THEN 'indonesian'
    WHEN 'it' THEN 'italian'
    WHEN 'lt' THEN 'lithuanian'
    WHEN 'nb' THEN 'norwegian'
    WHEN 'ne' THEN 'nepali'
    WHEN 'nl' THEN 'dutch'
    WHEN 'nn' THEN 'norwegian'
    WHEN 'no' THEN 'norwegian'
    WHEN 'pt' THEN 'portuguese'
    WHEN 'ro' THEN 'romanian'
    WHEN 'ru' THEN 'russian'
    WHEN 'sr' THEN 'serbian'
    WHEN 'sv' THEN 'swedish'
    WHEN 'ta' THEN 'tamil'
    WHEN 'tr' THEN 'turkish'
    WHEN 'yi' THEN 'yiddish'
    ELSE CASE WHEN coalesce(language, '') = '' THEN 'english' ELSE 'simple' END
    END;
CREATE INDEX threads_search_language ON threads (search_language);
COMMENT ON COLUMN threads.search_language IS 'The text search configuration for its words, by its language or by the server''s setting; ''simple'': words are not stemmed.';

ALTER TABLE messages ADD COLUMN search_language text NOT NULL DEFAULT 'simple';
UPDATE messages SET search_language = threads.search_language
    FROM threads WHERE threads.id = messages.thread_id AND threads.search_language <> 'simple';
ALTER TABLE messages ADD COLUMN search tsvector NOT NULL
    GENERATED ALWAYS AS (search_vector(search_language, plaintext)) STORED;
CREATE INDEX messages_search ON messages USING gin (search);
-- For words that are in very many messages: the newest of them are found without reading the rest.
CREATE INDEX messages_by_time ON messages (sent_at, id);
COMMENT ON COLUMN messages.search_language IS 'The text search configuration of its thread when it was made.';
COMMENT ON COLUMN messages.search IS 'What it is found by.';
