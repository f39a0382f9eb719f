DROP TABLE unused_files;
DROP TABLE signing_key;
