-- Fluids that left the patient, of the given stays and items inside the window. A row belongs to the stay it
-- names; rows without a stay, without a volume or marked as an error are left out.
select
    cast(e.icustay_id as integer) as stay_id,
    cast(floor(cast(extract(epoch from (e.charttime - i.intime)) as double precision) / 60) as integer) as minute,
    cast(e.itemid as integer) as itemid,
    cast(e.value as double precision) as value
from outputevents e
inner join icustays i on i.icustay_id = e.icustay_id
where e.itemid in (:item_ids)
    and e.icustay_id in (select * from unnest(:stay_ids))
    and e.charttime >= i.intime
    and e.charttime < i.intime + :window_hours * interval '1 hour'
    and e.value is not null
    and e.iserror is distinct from 1
