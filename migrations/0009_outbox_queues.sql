-- One index finds what is due, in the order of sending, without reading what is not due. The domain is in
-- it, so that emails to a domain which gets no further one now are skipped without reading their rows.
-- The priority: 0 for a code, 2 for a notice, and 1 more once it was tried.
update vestibule_outbox set priority = 2 * priority + case when tries > 0 then 1 else 0 end;
drop index vestibule_outbox_due;
drop index vestibule_outbox_order;
create index vestibule_outbox_order on vestibule_outbox (priority, next_try_at, domain);
