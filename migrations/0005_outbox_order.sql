-- Codes go out before notices, and no recipients' domain takes all of the worker's connections.
alter table outbox add column priority bigint not null default 1;   -- 0: a code, 1: a notice
alter table outbox add column domain text not null default '';      -- keyed digest of the recipient's
update outbox set priority = 0 where kind like '%code';
create index outbox_order on outbox (priority, tries, next_try_at);
