DROP TABLE attachments;
DROP FUNCTION leave_unused_file();
