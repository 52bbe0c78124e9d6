-- session: KzdtSRbZIu6cFPDnf97XYQ
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
INSERT INTO vestibule_migrations VALUES(1,'accounts','2026-11-26 18:03:28',1,X'f27f215a5be8a95ab33d49ee9419d5aea93491f846f25458820b11b470d763a9b6d0db7bce40a64f75d4cdfc6f5bc803',-1);
INSERT INTO vestibule_migrations VALUES(2,'trusted devices','2026-11-26 18:03:28',1,X'f83ff23df75040badd92d832ffcea16a6240819451d7f67eec81698065fc2998d94fff9c4df0fdbcf0f72cd7cab49417',-1);
INSERT INTO vestibule_migrations VALUES(3,'resets without foreign key','2026-11-26 18:03:28',1,X'43e790de81dbcdc7660f4ffaa72e61ad3ef63018a80fca32d3798fbfc4d8aa8cbbe163b4792f1753b8d347be6173f690',-1);
INSERT INTO vestibule_migrations VALUES(4,'password set in','2026-11-26 18:03:28',1,X'b48cca279c522967cb44676e9b67961adf04b099c3fab781c4fd6231b32760e547b2f3c49c6a3b872418a7153bfbc058',-1);
INSERT INTO vestibule_migrations VALUES(5,'outbox order','2026-11-26 18:03:28',1,X'fe3e0deda12123e1a380085b569c932535a0faa4705cb367e7977a9d3b82198efd35baea94a1b9402dcb919582f5482c',-1);
INSERT INTO vestibule_migrations VALUES(6,'one-time codes','2026-11-26 18:03:28',1,X'93be5e5ce765005c9746ee9818992567ebb408ea92c13e4889eec62202cf6c7791ea6c756e199bbaf44f3922d7638c4e',-1);
INSERT INTO vestibule_migrations VALUES(7,'table names','2026-11-26 18:03:28',1,X'755a4e7aad4fce01e0be1890a6c6b5e63966c3ca18e7b0e06e048b4e083785803ebbe26b30d7dc64f02efe2a3df7d8e3',767454);
INSERT INTO vestibule_migrations VALUES(8,'apps','2026-11-26 18:03:28',1,X'5ab4548058f5eea567b37491b01f053ad107f42359c18aa35eced3cc5e010a898bd513ad7fe91aee2c46442dded4515c',332385);
INSERT INTO vestibule_migrations VALUES(9,'outbox queues','2026-11-26 18:03:28',1,X'3159900e00ac116b94700b78f11e824e5bdc6b42d5f8b184ab5dbbd570532d2de0d61558ed7714b9338bde6f64af800c',253879);
INSERT INTO vestibule_migrations VALUES(10,'history','2026-11-26 18:03:28',1,X'83a1216ae2aeff6a16ccb75baa061ca0a3bf3545739ed84d235df6cfd35521ddd627de136d08afeb186f78c26e6c44e7',639813);
INSERT INTO vestibule_migrations VALUES(11,'mail links','2026-11-26 18:03:28',1,X'2c73dc6735e7759c3800fba721bc936c83c3e155446655d9415f4482ba2fc3b81176a96007eb7515841cace108a69392',395189);
INSERT INTO vestibule_migrations VALUES(13,'email verified','2026-11-26 18:03:28',1,X'76d1f69a43115054de2d4635145fbe591528d7f38fc82d5241a3238bad3857db27fe82ba4a0c83d67051ab3f8139e691',317123);
INSERT INTO vestibule_migrations VALUES(14,'hooks','2026-11-26 18:03:28',1,X'3eb6f526f4131761ac425efe0f620ac782f62e52da14465e1681d0b91bd2b946c1bd1af63127167b839755e898e4be52',523190);
INSERT INTO vestibule_migrations VALUES(16,'password blocked','2026-11-26 18:03:28',1,X'233d983cfdc12a1044efa5e02ca3e3e1cc31104ef6459fb2eaed9a38f514c5a2c3c70724e82fe7f167964b5e6acc2781',307258);
INSERT INTO vestibule_migrations VALUES(20,'usernames','2026-11-26 18:03:28',1,X'5dd819aa4ca09fcfb7b6aeb8146ae0343491da9e1a4f122acf73b896f33b6d3b9dbab4225b4ac7f175acb7f533724757',9337850);
INSERT INTO vestibule_migrations VALUES(21,'registrations','2026-11-26 18:03:28',1,X'2be1511764557480fe16d1befdcfb27002ca6e331a4f3882de175572f4b3c4a7d29be42ec96258a0c130f7987c15fd64',731251);
INSERT INTO vestibule_migrations VALUES(22,'terms','2026-11-26 18:03:28',1,X'e0f6ae7e53c23233d564dd8acb5835cd7172130f2feb02f85326848a8a5f55e03f9c31b10b1b2dd7e5bffe856f0d9160',598111);
INSERT INTO vestibule_migrations VALUES(24,'imported users','2026-11-26 18:03:28',1,X'36903e4504d7b28f85e2555237e483353e81ec3d482cf0ed64477eeffd43b35fc30a595400306bc813b940a69d692c55',574456);
INSERT INTO vestibule_migrations VALUES(25,'users','2026-11-26 18:03:28',1,X'67770a5be493d6fba72e2bb433895df7662422df7bf36ac542c527bf563fbfbd8216741dc346ce127feb4c20bc0e337b',508608);
INSERT INTO vestibule_migrations VALUES(27,'registration','2026-11-26 18:03:28',1,X'fdf84d554a55c00071044899b4e37d2c7fd585b81af77d0f9525c910475d90136b12cf7dc49c089d45f3e0a50a1a831c',430101);
CREATE TABLE vestibule_users (
    id text primary key not null,
    username_key text not null unique,           -- lower-case ASCII: itself the normalised key
    email text not null,                     -- as it was typed; mail goes here
    email_key text not null unique,          -- lower-case, domain in punycode
    password_hash text not null,             -- PHC string
    credential_version bigint not null,      -- grows with each new password or address: ends sessions and codes
    created_at bigint not null,
    password_set_in text,                    -- keyed digest of the cookie of the session that set the password
    password_set_at bigint not null default 0
, email_verified_at bigint default 0, password_blocked_at bigint, username text not null default '', approval_asked_at bigint, approval_told_at bigint, terms_url text, terms_accepted_at bigint, password_scheme text, disabled_at bigint);
INSERT INTO vestibule_users VALUES('01m8cgdqagy5a0yc68trtfbg29','ann','ann@meadow.example','ann@meadow.example','$argon2id$v=19$m=19456,t=2,p=1$eQO3emgga639awFm3HZqEQ$nBCuhxEti+d/cmaCKlPP2I7Q6QfH1EHualGD1WRBQBg',1,1795716210,'oEENN-Ej3-b7AMOanBhSEX2oZukd5yj_PZuwCFcMaOI',1795716210,NULL,NULL,'ann',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO vestibule_users VALUES('01m8cgdqaggx2jmbj06vss4xj9','ben','ben@meadow.example','ben@meadow.example','$argon2id$v=19$m=19456,t=2,p=1$aFHFBB/3zY3PmdP41vdo5Q$oNTHq1i0fjfxpVDK9b/bd44ZqhN9iz7QZNhFTSTbCQg',1,1795716210,NULL,1795716210,0,NULL,'ben',NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE vestibule_sessions (
    id_hash bytea primary key not null,      -- SHA-256 of the cookie's value, never the value itself
    user_id text references vestibule_users (id) on delete cascade,
    credential_version bigint,
    data text not null,                      -- JSON
    created_at bigint not null,
    last_seen_at bigint not null,
    expires_at bigint not null
);
INSERT INTO vestibule_sessions VALUES(X'72c4aa7e1428531e63f1f91866db082ce6b3c6ad3393ef6c622f3ec296dc2b40','01m8cgdqagy5a0yc68trtfbg29',1,'{"user_id":"01m8cgdqagy5a0yc68trtfbg29","credential_version":1,"remember":false,"client":{"device":"curl","address":"127.0.0.1"},"authenticated_at":1795716210,"notices":["registered"],"codes":{"verify_email":{"id":"01m8cgdqag05rxjfks3zx2htny","digest":"c4nn8yTkVSx9s6ea9gdTZOuREPi98LZ3zZC-kKppYTs","codes_sent":1,"sent_at":1795716210,"budget":"gSVAiIAjeo-iyQ-k0mkH0v8-G7cC0jlbi6HF5spyb2k","is_unseen":true}}}',1795716210,1795716210,1795759410);
CREATE TABLE vestibule_devices (             -- browsers that an account was used from
    token_hash bytea not null,               -- SHA-256 of the device cookie's value
    user_id text not null references vestibule_users (id) on delete cascade,
    logins bigint not null,
    last_login_at bigint not null,
    credential_version bigint not null default 0, device text, address text, created_at bigint,  -- trusted while the account has this one
    primary key (user_id, token_hash)
);
INSERT INTO vestibule_devices VALUES(X'9fc95877c7019266a061ffc10792657a777e332624dd18313ceed9798531e973','01m8cgdqagy5a0yc68trtfbg29',1,1795716210,1,'curl','127.0.0.1',1795716210);
CREATE TABLE vestibule_one_time_codes (
    id text primary key not null,
    user_id text,                            -- null: no account matched, so no code is right
    attempts bigint not null,
    codes_sent bigint not null,              -- in this browser, in a row: each makes the wait before the next longer
    created_at bigint not null,
    expires_at bigint not null,
    purpose text not null default 'password_reset'
, digest text);
INSERT INTO vestibule_one_time_codes VALUES('01m8cgdqag05rxjfks3zx2htny','01m8cgdqagy5a0yc68trtfbg29',0,1,1795716210,1795716810,'verify_email',NULL);
CREATE TABLE vestibule_rate_limits (
    subject text primary key not null,       -- keyed digest of the limit's name and whom it counts
    count bigint not null,
    window_ends_at bigint not null
);
INSERT INTO vestibule_rate_limits VALUES('H40uSZ37zUF40J4iIHng6R_moJXot3rwytLawt1J8pA',1,1795719809);
INSERT INTO vestibule_rate_limits VALUES('Cqa_pSjEmAtWSyiiPTCMxZ5EOKxuL14V2Pkro6sOszo',1,1795719809);
INSERT INTO vestibule_rate_limits VALUES('402BS38aeMAiHoCQrpxl336OLDwUYMIaA6fiD1s1aX4',1,1795802610);
INSERT INTO vestibule_rate_limits VALUES('1W3yfzmkLKOhPrcPyiRIv6zPBryefLQzPVK0g-if0Ms',1,1795719810);
INSERT INTO vestibule_rate_limits VALUES('lMjtZ2TQYwJ9V3cOC_dF-wGvB41T6jHu9duNQ_q4-W4',1,1795719810);
INSERT INTO vestibule_rate_limits VALUES('rVKz8TkqvOtbZp_3LzfkTP6T47W2FK3QQ23Lok6vs-M',1,1795719810);
INSERT INTO vestibule_rate_limits VALUES('QAtXanoy9RiAeNtrB-e_vMzdeCDcAVkY-4P8J-kqXl4',1,1795719810);
CREATE TABLE vestibule_outbox (
    id text primary key not null,
    kind text not null,
    sealed bytea not null,                   -- XChaCha20-Poly1305 of the email, bound to this id
    tries bigint not null,
    created_at bigint not null,
    next_try_at bigint not null,
    claimed_until bigint not null,           -- a worker is sending it: others skip it until then
    expires_at bigint not null,              -- never sent after this
    priority bigint not null default 1,      -- 0: a code, 1: a notice
    domain text not null default ''          -- keyed digest of the recipient's domain
, user_id text not null default '');
INSERT INTO vestibule_outbox VALUES('01m8cgdqjwq513w5y960dw1nqj','registered',X'9e1cf0e3b1b2972052bd2d52afc0fd5be7d7f9b57aefc02b134b210d4967c45c14b8f3b0bd729042b4ca79202bcd3f4113a88ef421d805db6c0ae42af4e50a395c282c9166b8743ef8290551d1226d418b39bc8b63534fac60a2d0fbcdda9ce4be6df3ad9041e6e5949b1b57590668290d0e7411f2cbade151fea7899367f6a16fa1d3b162b85bc9b7862e0c67cb23bf8f481e6c76c2c8528782328e400badcf05c591d7ad031a54a67be844d4b40bdbf8fe093a21739ddf2944dbc7f6b382c3b12d518128ad301abcd223aa34d8f69f48d44396fb492b35221e7a522e29ac19a5deb23c87c21fdff6dca8ac956f783fcc241743770e3c48587701dacae2e80a3c53e1ef7222037be21c37c139ae3231ac407200223c708a473a161906e7ffa0eeb1ce9c8cdba64ddb9a73440d518ef5d88ea3b78eccf32234425246e363756c3ddc906ca05f49556ab13db8741ac6b6bc3605ed27f7f9a13dc6374562a04da6320e05e802a15f71f13f5959ead799d8638e15ccd6dd6fd622bbcf9a5e4c457df7320e5c5634a4052c91986c613846973a78c682656069e67bf854f75d262ee9a454fe60e87b931c09ef65eb25169790146bd930e04347e120c836adcf3fb1ddcd0d7a58847b857682d394d9ac8f65bc0e2b9aa919b51cf84cc4823f31fa6f2783d2819e0a570d1f26be79d144861f22e54ce2feb3d2712816653700c2cf647bb0cf1f0bc5284e29a0c892d4ef6575c5132ca3b76833333e2d086842d17a00f7c5c0572ef3f15c68f7690fdad3faeb8369fe7d3d1d0924b5e0b82d510095330027ab1c22f7a7e5d5b592208f1834d65a25298c92b06beff06e8a2ed20fd065fa61b44c72b2af063c54ae8feb97b4aec4cd9a94271f8295b8306705ea5256c453d1e8b366163da4cb6ea902ead31092cadf8d09bf2fd010989076def0edcfdeb98d19f6c4eca61863422b66931319c63d357b8c38a91c5d3e9c332b1c48e764375bd3669b2a718ac0ded19a10dd9b3cc38c49e8f84fc0795c37c96504bc8187a16e4d173a5b61a2387280cf1bef1d47cccb0e2d5e7ef48ad3b6fd0c1005b7a692fc36247684aa382cd4be207be14a94bd727466a76dd1e041a792af391d0da07f2cf20bafe254e09872712ca556a29c4621fe8f6f84b7aee2ab718a80ef972f6670133de83b3d125a1caaebc57535037547a399fc1584f0cab2b3769be1a5eab33b0957401419b6767c4c981d1073f4dda350042fbd47fac005f9c7bdbf11629b6b3b111d6a10532b7d0e7123d8c5ab116539ef338d193091f121bd8e017e55722f6b026283068b398a50e3b3d655ba443275d7c4453f474ae5996a7124a149a76c5a37576114cbf62daa74d30d2eae75a63f5e0736fdb41e40c4cae8dbc8542eee187f8160d2c088c8e2c0f7c457492082f66917f7310eb632c18c24a6bb0ab325adc412988ace24f292a3a38fd996de6a2270963e89f71fa427081c4e46497fd833d05686c2f633df7e21486665399c7c22d19cb78933a1f0f11c63d1f843d6743c606bf790623d82125b002022134b00185a43b8387a1341a2aec2474de20c620f43a0d3ba0e8766eff278eb32a397e0a9e26f00d6f79d1a36a8cf378a09f319b1839df8b1cd01c889f718080f231d11c6aec699334364cc77f4a6deb6bbdd558d4bf82faa30c538ff83cc49bdcdfe1fcd6975e08aab5e8725c021790ac9735a11aed27b5c6f6ee097e6246d16e3dd54d313e1ff1c76740ac616b7cba5961117475af7d7ea4499e7e8e285a75913da45b90a8d13b349779ddbb17327675a789fa4dc846b4845dfc60fa0c9c41e3c1ccd124a59305c117e885fc228ee602babdc7056805b304a7c728ff6a4f08cec21961d019ce4c56990470995e0aee5066da787863ffa2236acbf4763b43109842c54807a49008d0b7f9cf241073beb50b05310e521aac7adbeacba6574ba5020ab82ce7702a11b6aa3655c90c3a3f3bf2bc175a6605a6b395fe89ab4c2d10219d0be4d5d56c409670d6c2a658ef5fa4c5201bb2b71114f1522ca78e4895f7a87628495b4c4e8171735c06fbd2e5466928eed284961f7eff3433308535837235660491b3688f70709968237ffb18a3868983375b09cb6a01eb8717402b2d73411b203f5c425d45dee5b066165ed7fd105283d2375c8b1ad0b3fb3187dae26cc54d4a4e452198c0488662fa9c60d2aeb5e5504d46cf24bd7e3944efe605b5bd3a51964a718bd51301ae5dc506ef43402ee3ca81fc2f7e9f62acf7e1df0bda7e338cc69a93013ea32bc1b29aded214f18fecfec30115778375d93cfdb161de5b9d7a5ba1b488bbfe30adf5f65a6afb4138f77eb43466b616d22c29284f818c570fda9c1aca1949c3593d48aa8db87bf5fccf7d0b749c913007d71e9013528f912fe14f1d1dc21ba5be1f89adb775415ca9a2844598cf44c57126386ed647166b3a1107b89adf0cddca16126ffd9511b12bd08746aa8d399bcf2ae46499fdefb3a5bf633278fc904270d0d608e84067b6ed39123d1fe34e975ee3603c72d859295ca7d9341c620d40d8753c46a633ec8a061e71068241e8295193ffa14248e53be98c1aad5584dc657719a05d785743a02df2c51acd6e4bd748b2c2e652033bec8667e887630a906f9f4b47ba2255ec0dd7d369a9477a40cc803005556ef868da8fb60c7e73b8a44d9d43cc0c8f36cb178f3b0a8b0881f40ed0240a061548e402d96171ffe2158905c1cfd65731c71f36d8ecbcc754178c2eefa880c42c67d97d11da150812e73fa2923318379b7e2f9a0d3d39e4deb55272d7dc446e79bec12d6dab40addaa98ed7fc8b8c6fb35babfd2d6fc8d44c5a4f47640e552c5e96f3bd967926c886f7610b5e42ebf773758358f98679bb990fa9542285bdc0c59b9d5a02840b1a7dca48e11b9d2d830f8a95897977deb7d9eda0d65ad5ccb966c2b8545d3e3edc9dde5db3341278598473d4aa059322de61ac09949675d7a58af21cb9ecc16ca031a5443b96fe169248a25c7a749e9a4bdd78b9011182de5ab7eb8bdfa880e701cfff80f53582289d26c62d3949d18417412ed5257d70864030269a12a100c1c9fd58f6c2a8e8290e24b606ab8066aba569b1816fedbf898a57eaa7edf34dd567634c5dacc802177463487b20ebe8d150d27d19ece292264b405318b20ad0d776af45d7d81a68ed36dc0435551d884176d2fab8da3778e8f784ecbc2427f56afc576733e6a89e70ab3b98bd7cd75e4726ad0df5f2e3e08aeec97911e6589fe14b34c1d1bf3973ef31800753ad2c1784a91c7d450e32f64a91a51d276eddf76379a2d852064deb0c473c17c9896981925f833bf7d1c36a20c0b2a615c0b96417dc629272e3f7aaeb2bb6eb30033bb9c0683af398d8dca1dfb06dba0536e9b640295f9a44b6183983fe8ba3fc12d8bbca8d47b1795261e0069a1c52a008dd9fd664dc442223103739e37eb361f6e3e0d6fda2563a722f514252e27130961fd14e87e9f2b56ec0fe97eb43bd113bddb7c80b0ddee527dac192f9d2c6425ea1df216212770db034c706818387beba90b4cfbbb8f0028f0d465ba513c89ffa13a17cdedbe7ab27c5960cad09bb919db30d91eb28156dd947df06d5881b55657a26ef01d19babfd1e5a245b68afd0335b9a501748837efccfef4dda7f18f1ccb4ec6dfb854de9821e1fcfc869005448a50fca327b8633f5c3cc9cd99dd424cd8c5fb4bd3754c13b8a9c44b03ebb45864b18b7ae1756b103dd7b5ac354d88e1541e47677bc22bfabc63bda7f08d03dcdb01e712774a98992c2a13e976279a026fec606b3c0987d03cd5829a58c25487e5400ed07f24946b1fc892dce12bd6ffce02cc154485d123008746b0f7115abe9677aa624bb96d404875b5b010883dfcf231092a60ab6a29ae456f13107ef448601429dd0739a0c9911870fbd1af23e62e33b11475b45a2ff9badea8a58d00779465ed56901fcfa5ea501759ab00a2744c58de5e43f215f83a537fbb69010b8280885570920428bed5258096c324e0afab657a3eed7559416d069a3a7ec630c792e3df7fc0a8bfa1227ef241bb1dca0d97a6366cd7ff915f3fa437dad5e8dbedd42d00622b29b6d00aaf5f988fff2fd2d0c45ecf74deec4b3302e7edc38e2d8586b9f205fafecd03f9d2304a048555b635dd5ccff70c306e98888a36066b82dc5b2ffc73da9204a1de727cb3446b0b542cdbdf4382cade1a90ec936d6eaeff59ee806006b7a061071bd78eccb5118a12617d2ce14ef1e3a7240faaad77b500b08ff4700a7b013c12da71f944941a4e630c8e7e511d9a244904fd2f9ecc8ed1f605cbb75a50ceca99b4d511889c7909817e35ffdc2ee037a9232bf0ec87f06bab9e4f371cbcba9677a14f85598cf911d1d1d113af3379f84e33816dcf7ec352650a11ff3208e7e814a9d7bf222b6fd2aecff4010a1b4670ec58855b3d751c6ab98fd629286b30d804f186089ce98735a15841f3c8bee203c9b6264f226fca625fdc5aabdfcec20deac459edab837c0cc0fc9447d8cced46a0661ab77fdac88c1128c42562ba3592fcfcdac8cb1b582ffa1e9798dd42439fb1c5b913a668930c4d59f11aa1c9e606b1c8742add1f847110367ca500b20cf6c3203804fd3e3c976e7de84a3f81ff47651c51cfe85f2a83cd8fcbafabd38ff4b407aa2f4a3b12d167e04a7be740142e85a25282e15a3ec6b0df26391979c12fc608e7dfe063d5199727606eabcead6d296b5327f3856242af21ba34c2dae159963fa44df59f1262da87c32eeee2a5e60567562bbc11b1f93bb856536ff1843caa5a1f28162a8029dc458100344f26422a719da99965d6d53be95a5392a0d25a3c5eef2b01ccae500396b76ba4b5ce9939781f096e8174f8483e9dc59b2655ee78760a661a5cc21e6436d1eac51d79d744812c16faed5b20897d0d8bd49e7865eb8e3cf1fd4951da22ee2ab27a774609033e7f27d0fa75ac2e8b8e8fcd3c664ff70689cf2916176c1dda05b8c2d89a63514cd9ce2c3709bb3d191cc6270ab1b043dd35f6da3c38a6a656ee65f05f370983d05a5b6145d515c7e3924a21730e8d4751179e8f47379960d884792d61d899bf6851d59ebb735fe7e143222e046545d9bcada7f90cb094c933efc32d85fdc2c117733d2756d81c926425d386a907418c114cc11b1d482d4c95fe5f8727ab012a5c4c1fc98f058f71a1a62b73e4e95dda2ca6f3559f63584c7565e2d8cb8bfd2b743883a9973f433247ab47c000b0fad5c4816610cf4b9152becd5b655465ab329a4235fe636a86555eaea181d88d0e48b2ccc91bef40ba8cd0b698fc61ec1e21f3af45de996a74ce4c7c0eecb5781bfef6652a2419b4bc65a88fa9e3531875dc3e9b809fa0b96e8a1eb95d0faa7d073afe77bc000c0aa9058118f1420c2578b4818e4db35de89e162dde357e91bedc9362a402fb721f8f5ff7e0ec9caba5897becfb958566c960ac6e8287c00cf60baca81d31bb6085873c9c92c6f25645269378c28a655db108a8c2006e4a872ee0301da6796bd3eeb7bc63048d4a1554759714f977fff4b4c6824c84301acce5cf70bfaab26023e0a2a0a1389d092fd6b64734c7dfed86a1fcadc6d0575ddcf7c8dd8b440e7c904a8463581dab89c2db357f63774c85ba7f93a00bde400ff9c55ca5d36149443c171349bbad1ae375f03b0de7e02835542c947682c2709534ac055f3e6fae9f3fc815176e89c174a714ed29707ab7a9c3491917619377f40c99e37845a77a75cf1970378c0efaf52e22b4960b7116dd985bff3d851dc16f4b1a9eb2560aac4db85f9cc8ae3bfdc6ffa51a0d638ea278eb74122034b6f6e9ef6f270f003d7b9045cff11a46fb350d31e36408d16b20fc2a5e68a25595e8860b4a7383992ac09c09c953aad101213cbbcada10ddaf26493a70815bacb66a47ee8c0b5c4205bda0bdc7a36fc1029ac2af953a93aab8c445e8e34634892e4ed2b0dffa7b12ea7a6db633358ecda2adff2010a583fef1c7e21faeeb1b1087c61d6332665b5fa82f68e7ae64badb1be769061d27d0197c592bf20942e546850b8bfbbffe23e746b8b38200f17f647d0f6edc8684a475e8f925f9881610c55ff57f54cd693d5cdc04314638cc374accb5de3e3c1c14f55f3af71f1e98a49ba9bc4c9a3337ad24f392fec8fd1653db9d3d5537988f479a4140adbfe42a9a24195f65549ca15d2bb8ed1f6a0dc87e04428f62cee1488bf60f8e578d9fff0a21f48c47660231aa50d589e7d2e2de9fdbe09ced4113e1339a8b2a159c50ceb511bee6f828054bb1221eb0e1ecd017fd5bd052c21441d67fa090c416ac53f4530e747eaa743f772b81a6437d6c99b5bc68f1b8742332b82bdb8a90733bccc07df27631175efd0bc648b696595569553e78acee85a3bda64e5e837a13ff78473ad7ee2186008859c75ca632da4c10b836087612eb677eafac7f854e3320a4b92a736e2912f65e7d6b893fdc0894c7a782600134335c51c52a75f4d461216859b118fd3c5867bd83d1307c9b4153a2bc55f4d7f52d16658d5b3d0cebbfc241a3690108702c80bd2fabe4e444266cc52fed6b255d2d98812a34c83b41130c2a2ced3d085c2d341d343c23b832f7078214659f6f9d6c7e405ff68cad7e442ecb1afeb27a5073cde489598c4f010e9e05bef677249a6e93a7d0ca5d97ae1938c587def840301bed045da2e1286cda604087d291651dbfde64b1b1b61b7892c18b0324982f1724e9eb0e884d1a6fbae0453e92072b65e4fde531281155417eb73352030d632ceb54d8905bdd4df5b35d672151ad743c151d6ae4fa381f1abee8d94a51a0783d140b89018681f1d364b057caf3eb083e54bc4efa91f753e72334387165ee80fade057938eb8df7c758d8433f71b9b227f355eea2c6993e5c87ae2da85cc4b8e2bc8c1a7a72a97fd4284067ff3564121e0e8c01cd5a29095d1ee0fb014c1bc2249982a84ffdebf8ee0bfab0338d17ce2bd601d49833c1cc83cbd399b628010ec5303b3fb440a56b9158e2829d45b394e62795a66d2d8078b2675a0f1fecc114a9efea085f6ef9e6f780af2af747daee6a7ae2054ae0f2ce185b41daabd78315a09dc2b31a104965c18d634ac619228d3ca8bc989de54344a141f4732c8a08f20354a46f72440b6bdb1823d1d92127c24ae6903229eeacc762d9174c4b2623bd4cb1be0e840c91bc11c78e05b45eaca9da7720644027bcdd8deac7751643bc50d2e3ab3ac68c8429a12a171ff4223410bd1b790dc52da7297bbceb85b722ad0f8cbe407d93914f29a045a9bdc74217a3b5668f7012c1de4a3a337024cdda15109f18d967de2ca9cdd91abaf11467e087f647e16d27717d33f9b97b7837549cc3d861924e23a6d2e3759dbe0d4e9c7d1dbfe1e3198b9bd9156429cfd201d303535b84ee1cebe207bbe125f857313a5d76850ed4bc63dc7cf52403905f00d0562ab298ea481b1d894068ae561df6dd2cb4544541f5765b4ca5fcde5e58746d2057b499cbeb7f07650e1688b5b96ecdf40e0355023634f820f84f54c34803c7cde3550fabd85f3ac980ec0a64c85586218558c288aed671746b4524ddb26ff9c2bb7eb81c47e3db54a5e05a08a657fd0f8ece4cd7416bd3cf0e0bd9d682b45dbc5a9ae3d210e5179ae87de327ed2f48b1c9289818474c1804b92dcdc1906dd0acdef0b72352d075468144d0e80cc630922b025023580741cfd76e3a6476511aa5406717806c9343e14447daa9ceb14f3c17f0a5b1ce7caa2906bda7b2c3e1bcb5a9d162975aebc3e3d86549e79048dae34804f92c79a317238de3c1f989e103a4fdfb3c0fe41ee9f3eb289c6a4a3a91f7195cfca2de8e525c0d9b6d2b2fb27afb239ce656b3d5fbcbcaafb7d42b278dafe454619165df8b0fede2e1448411ee10a157a2da188e799c41dcad3a22f4d2020e80abb89ca54322a3fbb715fa16775778ffd2e0a4c8e1de001dae5fd1ebc7dc97bd482883b3312be9e2650fd2495e28b9fabacafae72c65bab384dc533242247e21b1c43eb7106657b403632efef9b6abe9eaed71120a915f4e4be7a9fafcd3e95767fc4280dfe9119d2420173237cd299c4d41eea4034a57870c3213e9912a3cd7349c7b801a915a4715387ec1697dafc22a3738195a0c5ad97c8a5de01bba890d9fcee2215e571fb129f83872e61cf7d8de66ff54c2820bce0a17e050fa5e0d990846976d0af93070bed32a826b7f856c341003ec7b993edbb1a12eafed77a7182dbe7adad8644d5f17b89fcfd502be8c3550c50bbaf30e497cd773e31268e42ce9b715521d1af8af8eb57493d55ebf573c24cb18b67e49be2e6a03a26edd531b42d1351fb94d74ffc0b1437d2efb283619ca3f1f5714871f618d6ac22c60691767c774f8fac50489932e6c40bb7f567199b68440880fa38ae2920ead584a11a8a298935f6a9f3c8895067bf3c8e518c6a883a9c1b6202923f90e3b1c2f05a8fccdc759f83a83d5849e5c319fcbba705f8f7534878f90968a0cc8f30ebca38679827e671b5b8ec9028700425b5c5aea296078916c087800245fb8df92321b404cacd070df761be0874f87e459de9e19910ad000f082b0af5f3bafb64bab61cf9ecd272b3fa3d29c5b4697245eb06f56f9aac5bd872da3b884594112222298705c5eb47bb2655a398073794732648c582ce7c6238cc1726693eee5fb1c4b62dd25987762fd18a331a8269da30037bf9f8e1afeab2803567a22d307111ace23ec08d376ed1333a2f52bcb3b8f98ac47127cdf7170b015d69f779d531bc8d86addce2a8ad8f2d46e4c316d3f89b73fe59fdd3b4dd80bd6dc328cffbd0e54660f0f3ce88c3bb80abc6adb5438009ea1db28ddb4953444c19362c05a366bf9f417fad18757341017aa30560f19f079a4a0b3cb82c1c978edfe05fb8fc8132353a5d2845e9f2db4b1ad0a210bd19941f82f8acd17a5ea2003efdbaeca2904ab22c133c54180b1d8535ceaceb7b265ee1f46bf846526e24755a55064ae79fb5b4550946414023691bbec75e5fd487e9cb49d1d2e495a685ff2a06bfee9ef8668902b29659dccb841d476fe1ab4ed0d78eb1155899a6a15bc085a58a5b85ff2e94a472ae20ca025a752275c6442d0bf0d81ecf47ea0aefe4c5749b667f556b429ef76d055e830eede3ee8f30e915ba855cb31bd5f2e796276a972f0145c0a9bb64ca2911b69de49b624b76cb968494e2da005efe954be4e862ef0edfd2aeed77395eb213e3011691ba24bb24662fd7151affcd3d55166e29e1a1c518e91cc9a8014ab2ee4f4d3e81e0b2f3fcc9d223fae107eb60f373dae4206a3e0acaa5cd28f4f39cce2f032dd95a7c4a63617ab2982a9d6cba83d261709fa4ffc1b3366ec6b1b3d04fc1c4da3990d50ef90891e906ad80c85552d579e8311f65ae1e476c77d1bdbccce5b6140426d68c424d407f8b4ef2381e09e7c9437252c20d1d64b3a968ce0be66acaa9af98b0d65b6e42158a8a786eaf51867a28c20616d6dac5b1b21fd07ff7ea089228db1e2d764dd62a2eade1e006c4b644300581794eeff923911dbb770763c13d2d4a12f93670ca3c1d20828f43fad89d29e00bb555ff70b50de9a0b2e724e47cc7bc4634ca9f037268de6fcba7c95f19e7e3264839e5ec59b9695d86d517bdc77a64753138847a094cf2db178c3326e2c0b101270fb2ec51b202523a750c7cce19499e4526e80692eea11769e05185529e4d01657e72034c50516a7d5735f6ce50dcb090345f791c85580848f2bdaf7fd2707e345ac396cbee9ad009ed47aa99e6b2071ed65c849b1a65e1aece6db1438bc746684a32ce9cb262328f5d6b04bc3b1b984908328d5daf8579f7b32c43a62802c5b7cb5bfc7158fc28245ed39496168c376a7fffc768257187b70bb0bf70ecf866c2c774d61e845a7b43b779ac0593a96199a0af4acaac1d0b9daa98813b73b681e12f6dcc4e832b308fcc0ab502f4b5022629d07dc934fae0cdddb773dfe3d22aafc9c0bde5b0b663c2b5f16a1a16315ca390ff0e124604f78ee1d452397db8178187ec982d2788f713ebc93ab793583c12865b2c44ec81b1dfc1cbcf27e92e69d7a95049fb4292878ad88187e8e392c832a771f1c49b726d9d8d60d2fab5ab97c2cff38b5a75de33f2b49122e4195528e44cd19c7d45c5d3aeb43f7dc8a0a900559730a3ef6bef98ec571da851de7af57429ff2b42faf803363de755c6c78d75f2b966af22e1430353bc16ff1cd4ccb76ea8b46641f4198b523e640efc073b62ce90fbf9efc9d35a428ab9ac731ce07fa2604a171e3ad1e2752f460eb1151e757a6bf42ee9d4095ecf115cca7afdb382c691247325923ba2b4770b0667fc9573c5d1566dca87507be8077076dd4df127021f57d599d20e8782b4f326a1ff05c1089dbbd329202054e67d1d9e20e3fc0aa9b6b842ec188a722ad51bf6cb19c45d3a36a4b543a2166388c2c8308a50a2ebd3de963238d5b8441fadc58759ee375857fe055802bb880f893903a83a801902c41a9a5ca4b9c32921930b01a7a4fdb2c571769350fda03f0a96242d3faa42609eb194109ca5ca41714cfba49b8864bb8e9de9416ddaa78ebdf9eaf7dbfd245671808cd2175a31fe4ff7cddb465f3b2ca6e758d898146d40014a253a733b63c92c9281a7e6dcded75144b65ad589e2dde8ed298b879f65bb6472a03e1ce1df24d55d6e4ea73d9d755c518247df966ca6a3aebad601aae763497056a7aaf19ce726eca1b68d8ed48c08036bbe1ad53a75cd223d361b5e20c720e0540c0985d9fd6a0dec04f8d7cd6730c53f93ebe4f021b67ef8747720d9f6361f56ddafa62c86ce915d46f04d37919e28472429f39d1df07e1509a740bce540714e594b86fd5328839789ffe3afed9c411cc3aff0af3915e1ca433c80330975296fdad9385700e27b745e188c0cb3dd61e4e9e7f7666e82edc47c9bf0d126be819f24f88b54471bc4c3e4b1cc3fd1b64d49e2ae81e5966cb53a52fdcdce88d6c9be806668ca384ae835482af7b72fa0eb9e86a8f1f48b8b82f7f13b332e868aa460ceb98c319f9eee0fdbf35af706d6fdfac96d6253a96e82a6e63526b01aae7166735970fdce6d17dec95bb0f24c233c1fc2d24081d80dfc2c077ab014d1b48924dc831abbe60403afbe7b19b396690656df53c218423e169e9216439b2d867a49dc635f99f7b615a8341227e47da7e0554059f20d1cbe70e874ade32df4b9b6e7587437e9075ce9d10e070e471281a42a016a138701bb550d78e605d84f229822ed198d680ae53677354000efcd75c8d63dfab43d538e7e014d6478178223979e182ced9ffab848687013c2b68b9cdcb212c3372d19395b5ec74274a7baadab46164ffdcf90bd28b8fbd2f43914a76a44ac67fdd5280a33e814924f03d30841861acc2686c60c673affb990ca80e4d6571f892eb57992197b2c65b8643af272f37785d06103ee841072b085262ca30f6fb0fd51f05496db3fef5fb365b746c3746c67bc1f261fb744aa83861494cb92d1dcf8685f5761d304999cab9221491ed553e628d7a3b4f365e7e5073aee8956acc429300094b01c3d6e73c134a23bac5440f045e1b63f20bf6c6226ec9165c2ceb1c1e6bd1842d40357cacd78a9e20e221ea12baa6274b535921cb43a88d445e63671802ef484fce48e99d6913a260ab209f489c7f8f92ac378952cc531c053aa8907feb99ef672395989732c725ccd5b7bfcb29b51bb87037c883301f9bd33f5e54ab170e033aff768469c962b908c3e040edc2e7ed0bd6f0e4049a844a77ec40a673e365eb08a2d16927ef2ee7d409cb7249df7ec702a62a37d63eb1b4eef79aa8974513b7990121027384f0f4bb79aeec70ced74b33ae6143ad59310a10ee31d9b86cad99605466467d3c3888288b53134a472ce82a8b3fd341ba1fe4564a1fc4b2e9c656ef1e670e8089c1174fc6121635bf6046115b1cd35c3a1d7d330874939918973ed8c46c38db894edfc20355b027ab5f2c9edeb3629eb6dfb7f3fc27b5695ed632783e30c22b8a837caa66f747ef1181de9cd79a71fdd19d2d7bff6a8667c545860c02455f72b984d5daaf90d95e95ae5a14dd422a5cbe675a492e2f9195c2e642449c366203f0db6359240075b9edb6a9fc81c4b5c7a31321d3c90d3919a3beed8baa4b3254aba5b679eec547a6f7de2427272018110dabf838adaf7a08009289c84d25b84c884df37fdd03090e3d77df1c76947449df75044ee9296957fe67c98a4607d82b3b5f83343d7e39a0be21a970e0590c607ac083de6e7eb496a61dd9354f650845a4e1e64a6bea521405239583a4059c109715e290802b61846c00ceedb23c40c05b75714d0145d04b4c78c6cdb0ac2c4ccb5c3af718b3c7e6ce045b893fbc84ad83b72c36c9ca29b1e729084422c03b9298232b9fbc6ecb4f711bb9da9acec8fd1e18237f353bf5c15a9c8720e86a1e051e6017e2394ba987af15c71ea12d169cc4b5d6097752cd4984193f2cce4e6033b1c54923b4d3f8e59448622bfc97f3f4833da496e4ab82aac43d2efc7cd1ef37f528ce96b514d9a993ba1c4278682cdc0d8aca244f3ab17b192cc26cea4333c72e2a31101d505d241458847a4720de9bede2011bda96c6eee525f07723713f3205e672d8a76d3504667619113fc309133cd9381c1821b57523ba2ceefca67903a1979010ba9f535110f4dc72cd54a3a752fb5bcf4fec666bf7088f121148c603afda96bfcf8e472e0611c14f059ff4b665d3edda67eb8c46fb43b45fded634d7a663f2687bf55e8283cbc4341894a83e9ae675f3ed3da873d589ebbba18a63102ffda6f600f451e3ba2809146ce973752b724a9313f0b25d580e9bd13b72f88d5be3b8c9c35f827cf799292700c1f07368db2970edea332abc4ddd9c41099dc279c1d83b5235a0b3199b98f6608ee6290a9ba91761d80f51757f9dfb85c2c57328b4c1944e12e25d90c9a60ebac794a3c4a6257fcc50059e653a89b1d5651d139dd8598bb51b9e59799bda045238c3cb0ad997d4f647c1183b19c665a57c4e344b9e0e9ee7a04e71637466367bd7452a862459d8bffc8490817fa001196a044109585d56e8c18f867fca2c11def3a4517b2f5508733417617f74cde8d49730a5e9e54c0422779527014c62095a868d10bef72a86556f61d985cfb09baf647f4a35a92df8bc84faad3035ed55f71e882d6d009a9718357a57aadab24b5c6b748ab5c11dd49a2ea42f526807e5ef75691923372901c6e26c79bfc422142df9161cdb1297eaadf2a60f63a94df083f7ad9dc25d055182de45c8f43572be5d11a6db6a33d3b9b874badd6e24302860b38d0c1edbb431ae51f1a87b',0,1795716210,1795716210,0,1795802610,2,'GcD0XhDT-UlR56DlqgnNdElzCIiedzorx82eMZYPpuA','01m8cgdqagy5a0yc68trtfbg29');
CREATE TABLE vestibule_tickets (
    token_hash bytea primary key not null,   -- SHA-256 of the ticket, never the ticket itself
    session_key bytea not null,              -- id_hash of the login session
    app text not null,                       -- the application's origin
    browser text not null,                   -- SHA-256 of the cookie of the browser that set out
    next text not null,
    expires_at bigint not null
);
CREATE TABLE vestibule_signing_keys (
    number bigint primary key not null,
    sealed bytea not null,                   -- PKCS#8, sealed with the server's key, bound to the number
    created_at bigint not null               -- published from then on
);
CREATE TABLE vestibule_history (
    user_id text not null,                   -- '': an email to an address without an account
    id text not null,
    kind text not null,
    detail text,
    device text,
    address text,
    created_at bigint not null,
    primary key (user_id, id)
);
INSERT INTO vestibule_history VALUES('01m8cgdqagy5a0yc68trtfbg29','01m8cgdqjj42s5373xseyxpdnr','registered',NULL,'curl','127.0.0.1',1795716210);
INSERT INTO vestibule_history VALUES('01m8cgdqagy5a0yc68trtfbg29','01m8cgdqn0arj57qxvyj4e7534','email','registered',NULL,NULL,1795716210);
CREATE TABLE vestibule_mail_links (
    token_hash bytea primary key not null,   -- SHA-256 of the token, never the token itself
    purpose text not null,
    user_id text references vestibule_users (id) on delete cascade,  -- null: no account
    credential_version bigint not null,      -- the user's when the link was made
    email text not null,                     -- the address that it was sent to, as it was typed
    email_key text not null,
    created_at bigint not null,
    expires_at bigint not null
, keeps_email bigint not null default 1);
INSERT INTO vestibule_mail_links VALUES(X'57e40fef5d35383a834bf2340ac997340a64b7db94a892dfabeafc6333e1bb2a','not_me','01m8cgdqagy5a0yc68trtfbg29',1,'ann@meadow.example','ann@meadow.example',1795716210,1795975410,0);
CREATE TABLE vestibule_reserved_usernames (
    username_key text primary key not null,
    user_id text references vestibule_users (id) on delete set null,  -- null: the account is gone
    reserved_until bigint not null
);
CREATE TABLE vestibule_hooks (
    kind text primary key not null,          -- a hook that an application has set
    seen_at bigint not null
);
CREATE TABLE vestibule_hook_events (
    id text primary key not null,
    kind text not null,
    user_id text not null,                   -- without a foreign key: the user may be gone
    user_json text not null,
    tries bigint not null,
    created_at bigint not null,
    next_try_at bigint not null,
    claimed_until bigint not null            -- a process is running the hook: others skip it until then
);
CREATE TABLE vestibule_registrations (
    id text primary key not null,
    username text not null,                  -- '': has none
    username_key text not null,
    email text not null,                     -- as it was typed; the code goes here
    email_key text not null,
    password_hash text not null,             -- PHC string
    terms_url text,                          -- null: none
    terms_accepted_at bigint,
    proved_at bigint,                        -- null: the code was not entered yet
    created_at bigint not null,
    expires_at bigint not null
);
CREATE TABLE vestibule_mail_log (
    id text primary key not null,            -- the email's, as in the outbox
    kind text not null,
    recipient text not null,                 -- keyed digest of the address
    user_id text not null,                   -- '': it is about no account
    state text not null,
    server text,                             -- what the mail server last said
    created_at bigint not null,
    sent_at bigint,                          -- null: not yet
    expires_at bigint not null
);
INSERT INTO vestibule_mail_log VALUES('01m8cgdqjwq513w5y960dw1nqj','registered','kV7gtU4WNc1RahVO5mryeRRRGbcHEgmQndto-1iD5bQ','01m8cgdqagy5a0yc68trtfbg29','waiting',NULL,1795716210,NULL,1798308210);
CREATE INDEX vestibule_users_password_set_in on vestibule_users (password_set_in);
CREATE INDEX vestibule_sessions_user on vestibule_sessions (user_id);
CREATE INDEX vestibule_sessions_expiry on vestibule_sessions (expires_at);
CREATE INDEX vestibule_devices_expiry on vestibule_devices (last_login_at);
CREATE INDEX vestibule_one_time_codes_user on vestibule_one_time_codes (user_id);
CREATE INDEX vestibule_one_time_codes_expiry on vestibule_one_time_codes (expires_at);
CREATE INDEX vestibule_rate_limits_expiry on vestibule_rate_limits (window_ends_at);
CREATE INDEX vestibule_outbox_expiry on vestibule_outbox (expires_at);
CREATE INDEX vestibule_tickets_session on vestibule_tickets (session_key);
CREATE INDEX vestibule_tickets_expiry on vestibule_tickets (expires_at);
CREATE INDEX vestibule_outbox_order on vestibule_outbox (priority, next_try_at, domain);
CREATE INDEX vestibule_history_expiry on vestibule_history (created_at);
CREATE INDEX vestibule_mail_links_user on vestibule_mail_links (user_id);
CREATE INDEX vestibule_mail_links_email on vestibule_mail_links (email_key);
CREATE INDEX vestibule_mail_links_expiry on vestibule_mail_links (expires_at);
CREATE INDEX vestibule_reserved_usernames_user on vestibule_reserved_usernames (user_id);
CREATE INDEX vestibule_reserved_usernames_expiry on vestibule_reserved_usernames (reserved_until);
CREATE INDEX vestibule_hook_events_user on vestibule_hook_events (user_id);
CREATE INDEX vestibule_hook_events_due on vestibule_hook_events (kind, next_try_at);
CREATE INDEX vestibule_outbox_user on vestibule_outbox (user_id);
CREATE UNIQUE INDEX vestibule_users_username on vestibule_users (username) where username <> '';
CREATE INDEX vestibule_registrations_expiry on vestibule_registrations (expires_at);
CREATE INDEX vestibule_users_approval on vestibule_users (approval_asked_at) where approval_asked_at is not null;
CREATE INDEX vestibule_users_password_scheme on vestibule_users (password_scheme) where password_scheme is not null;
CREATE INDEX vestibule_mail_log_recipient on vestibule_mail_log (recipient);
CREATE INDEX vestibule_mail_log_user on vestibule_mail_log (user_id);
CREATE INDEX vestibule_mail_log_expiry on vestibule_mail_log (expires_at);
CREATE UNIQUE INDEX vestibule_mail_links_invitation on vestibule_mail_links (email_key) where purpose = 'invite';
COMMIT;
