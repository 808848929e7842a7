-- Laboratory values of the given stays and items inside the window. LABEVENTS names no ICU stay, and one row
-- in five names no admission, so a row belongs to every stay of its patient whose window holds its time.
select
    cast(i.icustay_id as integer) as stay_id,
    cast(floor(cast(extract(epoch from (e.charttime - i.intime)) as double precision) / 60) as integer) as minute,
    cast(e.itemid as integer) as itemid,
    cast(e.valuenum as double precision) as value
from labevents e
inner join icustays i on i.subject_id = e.subject_id
where e.itemid in (:item_ids)
    and i.icustay_id in (select * from unnest(:stay_ids))
    and e.charttime >= i.intime
    and e.charttime < i.intime + :window_hours * interval '1 hour'
    and e.valuenum is not null
