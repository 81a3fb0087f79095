-- A household that visits a store in a week is exposed to every product in that store's mailer of
-- the week; the exposure's time is the start of its first visit. Buying the product there in that
-- week is the outcome. Everything else it buys is interest shown elsewhere: with a coupon, in a
-- store without promotions data, off a display, or off the shelf.
--
-- 219 million exposures would be 0.1 % positive: all that led to a purchase are kept, and one in
-- 231 of the others, by a hash of their key. Rates are those of this sample.
-- The package's times have no zone; they are read as UTC.
with purchases as (
  select *, transaction_timestamp at time zone 'UTC' as ts
  from raw_transactions
),
promoted as (
  select product_id, store_id, week,
         max(nullif(mailer_location, '0')) as mailer,
         bool_or(display_location <> '0') as on_display
  from raw_promotions
  where (store_id, week) in (select (store_id, week) from raw_transactions)
  group by all
),
visits as (
  select household_id, store_id, week, min(ts) as ts
  from purchases
  group by all
),
bought as (
  select distinct household_id, store_id, week, product_id from purchases
),
exposures as (
  select v.household_id, v.store_id, v.week, v.ts, p.product_id, p.mailer
  from visits v
  join promoted p on p.store_id = v.store_id and p.week = v.week and p.mailer is not null
  left join bought b
    on b.household_id = v.household_id and b.store_id = v.store_id and b.week = v.week
   and b.product_id = p.product_id
  where b.product_id is not null
     or hash(v.household_id, v.store_id, v.week, p.product_id) % 231 = 0
),
told as (
  select 'exposure-' || concat_ws('-', household_id, store_id, week, product_id) as event_id,
         ts, household_id, product_id, 'mailer' as domain, 'impression' as event_type,
         concat_ws('-', household_id, store_id, week) as request_id, null as value, mailer,
         'promotions.parquet' as file
  from exposures
  union all
  select concat_ws('-', 'purchase', t.basket_id, t.product_id), t.ts, t.household_id, t.product_id,
         case when p.mailer is not null then 'mailer'
              when t.coupon_disc <> 0 or t.coupon_match_disc <> 0 then 'coupon'
              when t.store_id not in (select distinct store_id from raw_promotions) then 'other_store'
              when p.on_display then 'display'
              else 'shelf' end,
         'order',
         case when p.mailer is not null
              then concat_ws('-', t.household_id, t.store_id, t.week) end,
         greatest(t.sales_value, 0), null, 'transactions.parquet'
  from purchases t
  left join promoted p
    on p.product_id = t.product_id and p.store_id = t.store_id and p.week = t.week
)
select event_id, ts, household_id::varchar as user_id, product_id::varchar as item_id,
       domain, event_type, request_id, value::double as value, null::integer as position, mailer,
       (ts at time zone 'UTC')::date as ds, file, (hash(event_id) >> 1)::bigint as row
from told
