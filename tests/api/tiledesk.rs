//! What users of Tiledesk are used to: one test for each row of that table of the map.

mod messages;

mod requests;
