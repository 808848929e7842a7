-- Every ICU stay with what the cohort rules look at. No stay is left out here: the rules are applied, and
-- their effect counted, where the stays are read. Dates turn into whole years of age and durations and go
-- no further.
select
    i.icustay_id as stay_id,
    i.subject_id as subject_id,
    i.hadm_id as hadm_id,
    cast(date_part('year', age(i.intime, p.dob)) as double precision) as age_years,
    p.gender as sex,
    i.first_careunit as unit,
    i.dbsource as charting_system,
    cast(i.los as double precision) * 24 as los_hours,
    a.hospital_expire_flag as label,
    cast(extract(epoch from (a.dischtime - a.admittime)) as double precision) / 3600 as hospital_los_hours,
    cast(row_number() over (partition by i.hadm_id order by i.intime, i.icustay_id) as integer) as stay_number,
    a.has_chartevents_data as charted
from icustays i
inner join admissions a on a.hadm_id = i.hadm_id
inner join patients p on p.subject_id = i.subject_id
