-- A role that reads the schema and can do nothing else; SELECT is granted table by table as they are loaded. It has no
-- password, so on a server that asks for one it cannot log in until an admin sets it:
--     alter role NAME password '...'
do $$
begin
    if not exists (select from pg_roles where rolname = {reader_name}) then
        create role {reader} login;
    end if;
end $$;

-- A second lock on the door: even a right that somebody grants later changes nothing by accident.
alter role {reader} in database {database} set default_transaction_read_only = on;

grant usage on schema {schema} to {reader};
