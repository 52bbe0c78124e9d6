-- Which key the server uses for this database: another one does not open the row.
create table vestibule_server_key (
    id bigint primary key not null,          -- always 1
    sealed bytea not null,                   -- the key of digests, sealed with the server's key
    used_since bigint not null               -- when the server's key came into force
);
