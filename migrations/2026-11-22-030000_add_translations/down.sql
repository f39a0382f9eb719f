DROP TABLE translation_claims;
DROP TABLE translations;
