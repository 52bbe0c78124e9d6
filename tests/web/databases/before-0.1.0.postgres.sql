-- session: CvymurlJoDp6vVs1WYDaig
CREATE TABLE devices (
    token_hash bytea NOT NULL,
    user_id text NOT NULL,
    logins bigint NOT NULL,
    last_login_at bigint NOT NULL
);
CREATE TABLE limits (
    subject text NOT NULL,
    count bigint NOT NULL,
    window_ends_at bigint NOT NULL
);
CREATE TABLE outbox (
    id text NOT NULL,
    kind text NOT NULL,
    sealed bytea NOT NULL,
    tries bigint NOT NULL,
    created_at bigint NOT NULL,
    next_try_at bigint NOT NULL,
    claimed_until bigint NOT NULL,
    expires_at bigint NOT NULL
);
CREATE TABLE resets (
    id text NOT NULL,
    user_id text,
    guesses bigint NOT NULL,
    codes_sent bigint NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL
);
CREATE TABLE sessions (
    id_hash bytea NOT NULL,
    user_id text,
    credential_version bigint,
    data text NOT NULL,
    created_at bigint NOT NULL,
    last_seen_at bigint NOT NULL,
    expires_at bigint NOT NULL
);
CREATE TABLE users (
    id text NOT NULL,
    username text NOT NULL,
    email text NOT NULL,
    email_key text NOT NULL,
    password_hash text NOT NULL,
    credential_version bigint NOT NULL,
    created_at bigint NOT NULL
);
CREATE TABLE vestibule_migrations (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);
INSERT INTO devices VALUES ('\xd355b3cefa4e8850531a6dfad18b1689166e0c1b213389ce7b6ae27fab97465a', '01m8cbgwq530er8g2z9n0m6nxs', 1, 1795711070);
INSERT INTO limits VALUES ('944P8fAukbvl_YUHll41mgv5c-xnCbIj4nPQY4Mny20', 1, 1795714670);
INSERT INTO outbox VALUES ('01m8cbgwqc3zzcjfy4bkezq1fk', 'registered', '\xb44358928c9e17f265d92ba71990a822c76fecc64c933fafc5d81a5e9f0f965ba1314623474f86a4ecbf21e7b88a4036cb69f2bf0a3967e966a9ab07e7b123f609a154575df1f8975239d9e1510e49954748026e62a1742a6b132a6f2a652377fc3a1152e235b891e640462c1a0ef6ffa7479719692ac07884df9d9d6d40964e6df0df75755b3615e23bab0ea3eed0260c9f015b75df4194671cb73bd3c09d5fdde178128a74bbdb958d384bf3e64f4ceaec7201b08396df312551054dafb0eb54f814888954099e512935465bda714913eb9d52a193cb36e0f4879694d1b1ad471563602305a49bed211f04aea80ba3f78a0d269fcff214346c97e39c85168f75b85c67a6ae8a6b8daba3d0295bc3c773902cb85d7187e420ec4c144fdf2d10795e09e074debe60c58f8f832a105c9e860542fee72a9f186434bf9c69624718186001ae5abda399b16fd77ebdecd7d4872e110bf13552bab26395eb4be41dcbfaf7b4c1be504f040a140cea00b429bb2f5ce14824747b144670f5292e008436450ad8298095371a00d5c99a2ca8fe19db38655e5ec28ad8fb1c897049255dc341151d80435a9b194db3c0b4123f1a186881bd0dd6c06bdbf0b15ee426177a7505f0db48789f7d68f368561d95bdecfeef45393e9cb9c4129429e393b2db006f94b6e0ae3af1891c2b93103ced4bba8662be8c697ebff7433f0706d9b6b5978d09382ebca9766041d87fc5dd2e503771ca75d7a23c470675bfae694c024c55a5c5b04ecd5b054befe41ced7f0872925d427314eb06501ffc83f9acc726a33ce13831910db32682fbd7a9cf7ba2bc188500a6d686a1feb4ecf7346f4f073fe0b4dbe2bb2202cc70c60ad7ce4510c2d11d333e15aee22da0149d5a50eb0ebba0f169011b10c3670eaf67d498bd2e56c589998630662749350bf2d0adafa4a51f58ca6c156c96055c741aa983e4b5c0889b9bef07961082c78259ddbe498e982ce0b385b6e2efd74ec429d7021783645bd0e79985aed072b123d2543b9021f18318cb8fb5149b725b5a3f61301699d330ba7b0f6981b857d730ac547b0ebbffc9fda49322cddad144b246b5f8e20ad53ce17d7259bfd7f0436d07d1e93854669503a0958ec69029f91dac30b86d98f9e8b305d8b9a66e7caaf4aa909d46b1322824ecd23e3fbca78314d0e616564e882fa85dfa826809891c95a7865312e8853eab537b91481b539246248671546d808285e540a6221c687b0bfae789c35bb84d267ec3c3b79c85022b1029153af18ab9e4565834cdb554933e4c20cf58c8b1660c204d2b01c3dfaae7812526595f9ea5333a9c0c60720b5f844d34b7e10dc176545965da432598505ab1c6457349d4d0b98888ce19219c0f9a48f7c6e9dbc74a092e2d0394f9c7997a81b892a0cee7c374fffb1ff418ea26709afcae490e588f789b76ae3fdc461dca546f06af255dea9dacddd005c498242026cadf722cf2354a13022bb71999c90de80d395f354d99c9b5a68b79c55e80e464d806ab28b0dc60e880aee90107f5a277b6a473645a8086c8e0cb8ad2b2d20c48e42fafad47d7b4bb97e7f3897a1998be89260b3463b956eb5bc3a6e072dca04e7eed71b362b720e99adf62f562700db828ff440814c8e70923d6eb3b50429370454f955ebd0019b0f2acf5382ec28048e535986d8c6b67981a83f7265f1b14c159df115b414a1a346e07980151dbe075e18df2e50e0537706c998dc4fc5ba4f75babbd45fbb6fd9a0a9aac669410c268494e916e5d16d0dbf1ddaef53235e2a0be782360bdc54511800aa786abf85c5e775612fd5be12ff9323a76858f4843ac6f7fb601aa70713d69049bf91c551d0f5bfa12b49b0e2ab8b0dd77116bd8eeb13e78a3fd7786aa073fee8938c4221d0514bb069eab9300db043d5b834c859532520d3ae96bd0f8b77ff36d4e9041f8d798ccb87ae8939e2841e64ed27a2bd512a404bb12676514ae28da379b4454ffe3962cf9d7573637796a19b9eb8e28207d3c085e00dcec4aeea624b0903d8f10ecba4e4fd73ec6fcc56162ce5f39e3b8386a3aebce82b654cfa99623afe227f6e2066e2ad08e603df130cf1cfbe00fde74a403b3b6cd66eb84ec9a50a707f8a09f408c2db015d621437c48ab87251ad8a840dc77959700089ea1f8c78d9fdbae8e74733ae45c757957dcd2aa7e04863323a1687b384d1ebb2a3730d8e09c4713b27b03abdca9e5530d2e6f695c466972a5120737a090117643ac65bd4d9020376fb2e762b7fde17efddfc7dcab3f7a15455b7015fc6801ab86ddcd206b5f400ac11c4af0aac93c4b4270366fd36a5c5f9d2628c410c67fc816adf635c9d0847f065122eafbb207d57a4c1a7849f10c87d237f280435b2bd55ea4b6021d5f248ad74112c275587f9dad934a596b621c081bbc5ad760181a31bfdd1a73664c248c845f0f2cb9bf4bc887fceeac458a9c6dafcbb4cd74673f2d85462bc1804e585558879fd8e57d4bf003f066abb275d21aae227e35d3d31aa17ec9f51b319badc9ec004684ecb1564a2590b870523d2dce', 0, 1795711070, 1795711070, 0, 1795797470);
INSERT INTO sessions VALUES ('\xfcf30d2ed2f15430dbb0a427b6be8f261701b8882fd82b1c8360271e45d57448', '01m8cbgwq530er8g2z9n0m6nxs', 1, '{"credential_version":1,"notices":["Your account was created. You are logged in."],"remember":false,"user_id":"01m8cbgwq530er8g2z9n0m6nxs","username":"ann"}', 1795711070, 1795711070, 1795754270);
INSERT INTO users VALUES ('01m8cbgwq530er8g2z9n0m6nxs', 'ann', 'ann@meadow.example', 'ann@meadow.example', '$argon2id$v=19$m=19456,t=2,p=1$2J0rQ3xeYIJZ3wGUStQYMQ$opzZ8NZmCznh2TBmvvZsRQrhkaSXgthuzxwwV8fJ0I4', 1, 1795711070);
INSERT INTO users VALUES ('01m8cbgwvbgfmhwtty7vfpb649', 'ben', 'ben@meadow.example', 'ben@meadow.example', '$argon2id$v=19$m=19456,t=2,p=1$lVqDaNFVnUtXATCsY55d9g$b+WDUNmACf0aGldwT0PJDFqjWdZAPsKR8hls/rdUCus', 1, 1795711071);
INSERT INTO vestibule_migrations VALUES (1, 'accounts', '2026-11-26 16:37:50.777748+00', true, '\xf27f215a5be8a95ab33d49ee9419d5aea93491f846f25458820b11b470d763a9b6d0db7bce40a64f75d4cdfc6f5bc803', 5385859);
ALTER TABLE ONLY devices
    ADD CONSTRAINT devices_pkey PRIMARY KEY (user_id, token_hash);
ALTER TABLE ONLY limits
    ADD CONSTRAINT limits_pkey PRIMARY KEY (subject);
ALTER TABLE ONLY outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (id);
ALTER TABLE ONLY resets
    ADD CONSTRAINT resets_pkey PRIMARY KEY (id);
ALTER TABLE ONLY sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (id_hash);
ALTER TABLE ONLY users
    ADD CONSTRAINT users_email_key_key UNIQUE (email_key);
ALTER TABLE ONLY users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);
ALTER TABLE ONLY users
    ADD CONSTRAINT users_username_key UNIQUE (username);
ALTER TABLE ONLY vestibule_migrations
    ADD CONSTRAINT vestibule_migrations_pkey PRIMARY KEY (version);
CREATE INDEX devices_expiry ON devices USING btree (last_login_at);
CREATE INDEX limits_expiry ON limits USING btree (window_ends_at);
CREATE INDEX outbox_due ON outbox USING btree (next_try_at);
CREATE INDEX outbox_expiry ON outbox USING btree (expires_at);
CREATE INDEX resets_expiry ON resets USING btree (expires_at);
CREATE INDEX resets_user ON resets USING btree (user_id);
CREATE INDEX sessions_expiry ON sessions USING btree (expires_at);
CREATE INDEX sessions_user ON sessions USING btree (user_id);
ALTER TABLE ONLY devices
    ADD CONSTRAINT devices_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE;
ALTER TABLE ONLY resets
    ADD CONSTRAINT resets_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE;
ALTER TABLE ONLY sessions
    ADD CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE;
