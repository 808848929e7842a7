-- Laboratory values of the whole hospital admissions of the given stays. Minutes count from the ICU admission of
-- the stay, and are negative before it. The rows that name no admission, one in five, are lost, as they are to the
-- published reference system.
select
    cast(i.icustay_id as integer) as stay_id,
    cast(floor(cast(extract(epoch from (e.charttime - i.intime)) as double precision) / 60) as integer) as minute,
    cast(e.itemid as integer) as itemid,
    cast(e.valuenum as double precision) as value
from labevents e
inner join icustays i on i.hadm_id = e.hadm_id
where e.itemid in (:item_ids)
    and i.icustay_id in (select * from unnest(:stay_ids))
    and e.charttime is not null
    and e.valuenum is not null
