-- Keys and indexes, made after the rows are in, each with the query of sql/extract that wants it. The extraction reads
-- most rows of every table, so an index on events does not pay: plans and times stand in docs/extraction-plans.md.

-- stays.sql: one patient for each stay; a patient who is there twice is refused.
alter table patients add primary key (subject_id);

-- stays.sql: one admission for each stay; an admission that is there twice is refused.
alter table admissions add primary key (hadm_id);

-- All queries: one stay for each event; a stay that is there twice would multiply events, and is refused.
alter table icustays add primary key (icustay_id);
