-- 801 of the households told who they are; the others are known by their purchases alone.
select h.household_id::varchar as user_id, coalesce(d.age, 'untold') as age,
       coalesce(d.income, 'untold') as income, coalesce(d.household_size, 'untold') as household_size,
       timestamptz '2016-12-31 00:00:00+00' as valid_from,
       'transactions.parquet' as file, h.household_id as row
from (select distinct household_id from raw_transactions) h
left join raw_demographics d using (household_id)
