-- Every ICU stay with what the cohort rules look at. No stay is left out here, not even one whose admission or
-- patient is missing: the rules are applied, and their effect counted, where the stays are read. Dates turn into
-- whole years of age and durations and go no further.
select
    cast(i.icustay_id as integer) as stay_id,
    cast(i.subject_id as integer) as subject_id,
    cast(i.hadm_id as integer) as hadm_id,
    cast(date_part('year', age(i.intime, p.dob)) as double precision) as age_years,
    cast(p.gender as varchar) as sex,
    cast(i.first_careunit as varchar) as unit,
    cast(i.dbsource as varchar) as charting_system,
    cast(i.los as double precision) * 24 as los_hours,
    cast(a.hospital_expire_flag as integer) as label,
    cast(extract(epoch from (a.dischtime - a.admittime)) as double precision) / 3600 as hospital_los_hours,
    cast(row_number() over (partition by i.hadm_id order by i.intime, i.icustay_id) as integer) as stay_number,
    cast(a.has_chartevents_data as integer) as charted,
    case when a.hadm_id is null or p.subject_id is null then 0 else 1 end as linked
from icustays i
left join admissions a on a.hadm_id = i.hadm_id
left join patients p on p.subject_id = i.subject_id
