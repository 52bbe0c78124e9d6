-- session: 997zY63bcEY74csvRLoQQQ
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE vestibule_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO vestibule_migrations VALUES(1,'accounts','2026-11-26 16:37:50',1,X'f27f215a5be8a95ab33d49ee9419d5aea93491f846f25458820b11b470d763a9b6d0db7bce40a64f75d4cdfc6f5bc803',6839786);
CREATE TABLE users (
    id text primary key not null,
    username text not null unique,           -- lower-case ASCII: itself the normalised key
    email text not null,                     -- as it was typed; mail goes here
    email_key text not null unique,          -- lower-case, domain in punycode
    password_hash text not null,             -- PHC string
    credential_version bigint not null,      -- grows with each new password or address: ends sessions and codes
    created_at bigint not null
);
INSERT INTO users VALUES('01m8cbgwbp7dx08pc6kyw4h8c7','ann','ann@meadow.example','ann@meadow.example','$argon2id$v=19$m=19456,t=2,p=1$dDdMeqr/6NQIhlaoULLmKw$8loBQOjRSMoTyVBKFHiL/eSr5oU8K35EafHfY3afVR8',1,1795711070);
INSERT INTO users VALUES('01m8cbgwea4n9z5j0c50e9gdm1','ben','ben@meadow.example','ben@meadow.example','$argon2id$v=19$m=19456,t=2,p=1$IyN6QcSdhnyO0YCe7jsbAQ$gFdpVYr3HYFUHY1KNFeryHD/EVRu6QpoU2pIdI2Pack',1,1795711070);
CREATE TABLE sessions (
    id_hash bytea primary key not null,      -- SHA-256 of the cookie's value, never the value itself
    user_id text references users (id) on delete cascade,
    credential_version bigint,
    data text not null,                      -- JSON
    created_at bigint not null,
    last_seen_at bigint not null,
    expires_at bigint not null
);
INSERT INTO sessions VALUES(X'9a11c26d6214d10c4f710cdf8c317401256b1d14a358ff7a9170493e5116e81f','01m8cbgwbp7dx08pc6kyw4h8c7',1,'{"credential_version":1,"notices":["Your account was created. You are logged in."],"remember":false,"user_id":"01m8cbgwbp7dx08pc6kyw4h8c7","username":"ann"}',1795711070,1795711070,1795754270);
CREATE TABLE devices (                       -- browsers that an account was used from
    token_hash bytea not null,               -- SHA-256 of the device cookie's value
    user_id text not null references users (id) on delete cascade,
    logins bigint not null,
    last_login_at bigint not null,
    primary key (user_id, token_hash)
);
INSERT INTO devices VALUES(X'8763838b6a7e39817015ccb1b36d929ecdb25df75f42a539f299aedc9c72ba04','01m8cbgwbp7dx08pc6kyw4h8c7',1,1795711070);
CREATE TABLE resets (
    id text primary key not null,
    user_id text references users (id) on delete cascade,  -- null: no account matched, so no code is right
    guesses bigint not null,
    codes_sent bigint not null,              -- in this browser, in a row: each makes the wait before the next longer
    created_at bigint not null,
    expires_at bigint not null
);
CREATE TABLE limits (
    subject text primary key not null,       -- keyed digest of the limit's name and whom it counts
    count bigint not null,
    window_ends_at bigint not null
);
INSERT INTO limits VALUES('944P8fAukbvl_YUHll41mgv5c-xnCbIj4nPQY4Mny20',1,1795714670);
CREATE TABLE outbox (
    id text primary key not null,
    kind text not null,
    sealed bytea not null,                   -- XChaCha20-Poly1305 of the letter, bound to this id
    tries bigint not null,
    created_at bigint not null,
    next_try_at bigint not null,
    claimed_until bigint not null,           -- a worker is at it: others leave it alone until then
    expires_at bigint not null               -- never sent after this
);
INSERT INTO outbox VALUES('01m8cbgwbp3wezsb5ape2nvfwf','registered',X'dc5eb1a04581877a62e0e70d4251345c46ca2e9a4eb95e4b50cbd3dd185f9718f7c9640ad1097e5485a00b2ebee2e3307e92a59d11d23d5d57651afd29729ab4a46d2fb3b3e5b70e760c99dd0a66a83ae2540ffabd7cd1f2c9b4e3611c5db920cfb12849a9854e509e3ea1fad69740ed8af4aa992f1fd77261e548910a374474bafc01f3af6c403aa3e055138cece6fab9ef48c37f5707e2dbfc5b0fd6ea8988a9e98e95fe0b5fe7095530b55ee3d9de322663bb3c9126581a2d65bf43817174a0cf3c85f3b632fa339aa0135ff3d81d345fb6dfd892bbcc63d926d42e44e956c258e0fffca1aba2bd4bfa8d9f92cb983f606cba0f8b38e0e095309a0170e9ec6769ff8eb5293379c8b773bdcaf14c9f80d8139fa7e41459e6d702dd07881121e5dd284f43e43c09b1b0e70ffbdddde1d1db34f56c702c980d59c8fa9285f7af241bc92882cc95d9278bd0ae9ab27c29ab6e52acb3b1c58bfeedec2acfaba08f1b9728f4663b1fcd7252404c535c07a75a739fb323105a47a056c23ed4c03da08d285dbb41c5d288e346e73ee1105a7a3c4922f6819a90f31778c355965783a4c5642d12476ae5e9c1da24dc3684befb3e3477f9a2c3a4d7e33d9b57c5c49b214f22437576a9028aa9434e8ac183d86c86cf1f0695de7004dba31c25a0d423e13e9dc061a2d1c3caf58c8d58387d700018a390d59f442546ccf6a2b91a7ec1b97bd726d9261da4a8a107ed5d756a052019c7c3b1dbff84f5691ae98ed0706f7a7a6ee913888a84b2062614b1070a2cd32f8a409565f65693fd6899c297b6231bd6e7801f3ef4f957c23389c937fcbd1c5c277503bc53b958909baf6e776ff01682eca7de27acc43cf3790a3189b7bb879c26a3e3374ee9159ee59c816923eb887358a6a62e95ef32b42a259980ce80f3190eb6d967dc580d2651e7c278c3b6eefc2519a1050c862417525032c4fe2fba95d6a54d40e48bd37dc1a0a66e7eeec6a606cdb762ff2947d1a03560d8aa159a583b46875988033950eb8a704ce88c797c4e067d8f45a37c37096470ef7332d5087a4b80624215b559be48e39e774b995ddc8836afaf3eaca6bf6cb90771411c9ab9888679fc54c8a6104a288ff86fbe3f0549316a181008a735a31d38e1cd3c30fc27d96460939f46116344820a749ef570040cbeeb74bed10f4e471e236c82bb06b7b89b8a091197faeabf83f038a893d025b3a3e1c4744f6add96ff754fc01b3226402b529ba890862f736022d8427edbd3f6d9dc833b37faeffa286fa06811ca16ca80f318aa763e720f34846361a6816fd9500f66d881868c5aa1c60aedcc6dde8b2f6d01d978b7e717535ca7a3431672bf7067ad35a165dd2a1c17c9ddb15c516720def6edabea28998d5233512b4ad0c860ed689c6e3cbb909ba81ee65246690331c23fe63dd9c83df6621f8538bc12d3b3bb5218be9d11247c4cb83851779f3ce8e7980fc0c5dd1680232eb9e56d2946763e19ad74978cc70affb2d3ad7553b5551e510a2254281743f0bf8c7ee47ecebcf988f43c74f1ef5b89545698d1b85e2ff6656d99c832172083e2b736734f5a081971d350d4b9c36164e6dfb0dd00a6e92723ad1f3548ce35a864b41c408da5de4afbda7a9d1eede17514beacced99e20b8a6973645a239421718ddd84053f7cc8934ec49db0e26d55a0221cca257a9343eb899fc432a22396567bd76c9e6fc3ef57936654102e78f4432e4860190955afdb0d36744be2ca458b688281b972adab94e6726ff59a23cffe3302b1b92411fe67897511e2ef5b496d58cd23d7af346541ddd2b385124c96103d819174fa52b4c02c2a3d86df4c4a0a2fad9ab7b1cd2d84a3896f306ec028d6ddd943fe2bc3757a547f5d8dd01dbfeaea901706c71925a186e7802cc40e788dc9a3a975def1c63558a6401198b122e74a50c9e58cde68b4416e04b9c8b1c5850ec5073c567f5b3240461a9f10313fae3199fc81e4b88cd88cbbc11c7dda8ee7c618a4ee8037ef3e5b59794d1649bed67fbf1bedb77bdf9201e7e0f07d48c964556be7d675c9705f12cf91a02f39e2c15847e627a1b34935c5864f62abc3b86fc80c397c116088f9c5333542c365282eabfb37028900377644dea7843bc3d0b046e2450348d4f3cad60ff15136aa75e23c1f106aed28cc5e2fce248fb3d7c14cd199f799590393e96b8bd41ca885e300e863304d372f5ca878c972ed37534a9b691ead570e9eb124942cc35ce2827365deedd7ecb1fb2b693d7783b41145aa8095f6d67e5865c5b589496d117be3e6f12a75295e02d137985922814c7cee438b87cac6cfb15e68facb0f2a2813768e34a20d5b8ecc1fe863f11c7a123982a85cc27b14243d78a3829b80f3527a326b2fab87cd2adf83772bd5f96180adccc060211b3ebddc5db5b39d766377e25289b5b30447513a04f0069867b02f00225e80a362dee22bd9476f04468b941d027d4e458731ac73fad481161fd58a5e6feccb7ebd34e40f3ec65337ca23672c6e8e55a4fa5fd10ef0351fd062d5c1a3431dd69d4b6dd5e951f908d07',0,1795711070,1795711070,0,1795797470);
CREATE INDEX sessions_user on sessions (user_id);
CREATE INDEX sessions_expiry on sessions (expires_at);
CREATE INDEX devices_expiry on devices (last_login_at);
CREATE INDEX resets_user on resets (user_id);
CREATE INDEX resets_expiry on resets (expires_at);
CREATE INDEX limits_expiry on limits (window_ends_at);
CREATE INDEX outbox_due on outbox (next_try_at);
CREATE INDEX outbox_expiry on outbox (expires_at);
COMMIT;
