-- Fluids that left the patient in the whole hospital admissions of the given stays. Minutes count from the ICU
-- admission of the stay, and are negative before it.
select
    cast(i.icustay_id as integer) as stay_id,
    cast(floor(cast(extract(epoch from (e.charttime - i.intime)) as double precision) / 60) as integer) as minute,
    cast(e.itemid as integer) as itemid,
    cast(e.value as double precision) as value
from outputevents e
inner join icustays i on i.hadm_id = e.hadm_id
where e.itemid in (:item_ids)
    and i.icustay_id in (select * from unnest(:stay_ids))
    and e.charttime is not null
    and e.value is not null
    and e.iserror is distinct from 1
